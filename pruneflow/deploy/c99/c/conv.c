typedef struct {
    uint32_t plane;                       /* from an input channel to the next */
    uint32_t row;                         /* from where a row of outputs looks to the next */
    uint16_t channels;                    /* of a group */
    uint16_t out_height, out_width, out_pitch;
    uint16_t stride_x, kernel_height, kernel_width;
    int32_t right, down;                  /* to the kernel's next place, and from its row to the next */
} conv_shape;
