SELECT count(*) FROM postrider.slots WHERE owner WHOSE
