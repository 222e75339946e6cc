"""The report of a sweep: one HTML file that shows what its records say, and needs nothing but a browser.

Its numbers are those of `nidbench table` and `differences`, from the same functions; texts are formatted here, and the
page's script only sorts, draws and shows them.

    page        the whole of it, from its parts, a template, a style and a script
    numbers     summary, paired differences, cost against quality
    curves      PSNR against iterations and seconds
    cases       the measurements, with what each method made of them
    pictures    their pictures, 8 bit as they are scored
    made_from   what a page was made from, by which one that would be the same is known
    account     what failed, how it was run, and how to run it again
"""
