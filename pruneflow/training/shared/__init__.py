"""Work that several runs have in common: trained once, kept, and gone on from by the others."""
