static void leaky_relu(const float *input, float *output, uint32_t size, float slope)
{
    for (uint32_t i = 0; i < size; i++)
        output[i] = input[i] < 0.0f ? slope * input[i] : input[i];
}
