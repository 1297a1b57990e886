"""The study: what the paper says, row by row and claim by claim, and what ours says to that.

Every chapter is a folder with one object, `CHAPTER`; `contents` lists them.
"""
