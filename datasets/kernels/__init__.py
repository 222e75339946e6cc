"""One kernel set a file: blur kernels by name, in the orientation for true convolution."""
