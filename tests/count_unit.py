#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the cmocka cases in meson's testlog.json; a program that ended badly without a failed case counts as one."""
import json
import sys

import harness


def main():
    tally = harness.Tally("unit")
    with open(sys.argv[1]) as file:
        for line in file:
            test = json.loads(line)
            text = test.get("stdout", "") + test.get("stderr", "")
            good = text.count("[       OK ]")
            bad = [row.split("]", 1)[1].strip() for row in text.splitlines() if row.startswith("[  FAILED  ]") and "test(s)" not in row]
            bad = sorted(set(bad))
            tally.passed += good
            for name in bad:
                tally.bad(f"{test['name']}/{name}", "see above")
            if test["result"] not in ("OK", "EXPECTEDFAIL") and not bad:
                tally.bad(test["name"], test["result"])
    tally.finish()


if __name__ == "__main__":
    main()
