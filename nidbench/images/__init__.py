"""Reads images and kernels from files, in the same way for every dataset, or refuses them with a reason.

`pictures`, `tiffs`, `fits` and `arrays` read the numbers of a file, which `stored` describes; `units` finds out which
value is intensity 1; `read` makes images of them; `psf` makes kernels, which `psf_faults` examines. `stack` reads files
of one image or many, `metadata` what they say besides, and `write` makes the bytes of a file that says the same.
`explained` says whether a sharp image and a kernel give a blurred one.
"""

from nidbench.system.home import expanded as expanded

from .arrays import ARRAY_SUFFIXES as ARRAY_SUFFIXES
from .explained import contradiction as contradiction
from .explained import misread as misread
from .explained import other_contrast as other_contrast
from .explained import other_level as other_level
from .psf import BACKGROUNDS as BACKGROUNDS
from .psf import KERNEL_SUFFIXES as KERNEL_SUFFIXES
from .psf import Background as Background
from .psf import KernelFile as KernelFile
from .psf import kernel_notice as kernel_notice
from .psf import lossy_notice as lossy_notice
from .psf import read_kernel as read_kernel
from .read import BLURRED as BLURRED
from .read import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from .read import JPEG_SUFFIXES as JPEG_SUFFIXES
from .read import RESTORED as RESTORED
from .read import SHARP as SHARP
from .read import SMALLEST_SIDE as SMALLEST_SIDE
from .read import Reading as Reading
from .read import frames_note as frames_note
from .read import read_blurred as read_blurred
from .read import read_image as read_image
from .read import read_pixels as read_pixels
from .read import read_restored as read_restored
from .read import read_sharp as read_sharp
from .read import sharp_shape as sharp_shape
from .read import unread_note as unread_note
from .units import DARK as DARK
from .units import UNSTATED as UNSTATED
from .units import Units as Units
from .units import other_mean as other_mean
from .units import unlike as unlike
