/* The text of a drawing, as it is in its file. */

    .section .rodata.drawing, "a"
    .global drawing
drawing:
    .incbin DRAWING
    .byte 0
