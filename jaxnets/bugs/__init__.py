"""Model 1 with one mistake at a time, and what each mistake leaves behind.

`program` is the healthy program in pieces, `zoo` replaces one piece a mistake, `trials`
runs programs from many seeds, and `pixels` is Model 3 with pixels scaled or as bytes.
"""
