"""Verifies every DKIM signature of a mail with dkimpy.

usage: verify.py RECORDS MAIL

RECORDS holds one DNS record a line: name, a tab, its text. Prints, for each
signature from the top: its algorithm, True or False, and its h= tag.
"""
import re
import sys

import dkim

records = {}
with open(sys.argv[1]) as f:
    for line in f:
        name, text = line.rstrip("\n").split("\t")
        records[name.encode()] = text.encode()

with open(sys.argv[2], "rb") as f:
    mail = f.read()


def lookup(name, timeout=5):
    return records.get(name.rstrip(b"."))


count = len(re.findall(rb"(?mi)^dkim-signature:", mail.split(b"\r\n\r\n")[0]))
for i in range(count):
    d = dkim.DKIM(mail)
    try:
        good = d.verify(idx=i, dnsfunc=lookup)
    except dkim.DKIMException as e:
        good = False
    fields = d.signature_fields or {}
    h = re.sub(rb"\s", b"", fields.get(b"h", b"")).decode().lower()
    print(fields.get(b"a", b"?").decode(), good, h)
