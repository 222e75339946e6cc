"""From records to numbers: frames of cells and methods, intervals, paired differences, ranks, speed-ups."""
