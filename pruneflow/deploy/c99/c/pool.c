typedef struct {
    uint16_t height, width, pitch, out_height, out_width, out_pitch;
    uint16_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
    uint16_t dilation_y, dilation_x;
    uint16_t counts_padding;
} pool_shape;
