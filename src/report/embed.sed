# A text as C strings, a line each; the first line stays out.
1d
s/\\/\\\\/g
s/"/\\"/g
s/^ *//
s/.*/"&\\n",/
