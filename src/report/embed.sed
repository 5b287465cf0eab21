# A text as C strings, a line each; the first line stays out. A line that is one {{name}} has no end: what is put there
# has its own.
1d
s/\\/\\\\/g
s/"/\\"/g
s/^ *//
s/.*/"&\\n",/
s/^"\({{[^}]*}}\)\\n",$/"\1",/
