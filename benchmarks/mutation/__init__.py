"""Mutation testing of the core: wrong programs, drawn by chance, that the tests have to notice."""
