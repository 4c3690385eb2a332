/* The inputs, as bytes of float numbers. */

    .syntax unified
    .section .rodata.inputs, "a"
    .balign 4
    .global board_inputs
board_inputs:
    .incbin "inputs.bin"
