static void softmax(const float *input, float *output, uint32_t size)
{
    float most = input[0], sum = 0.0f;
    for (uint32_t i = 1; i < size; i++)
        if (input[i] > most) most = input[i];
    for (uint32_t i = 0; i < size; i++) {
        output[i] = expf(input[i] - most);
        sum += output[i];
    }
    for (uint32_t i = 0; i < size; i++) output[i] /= sum;
}
