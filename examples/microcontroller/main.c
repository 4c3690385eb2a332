/*
 * Reads a drawn digit, shows what the network is given, and says which digit that is.
 *
 * Of the network it needs lenet_300_100.c and lenet_300_100.h; of the board, a way to print a line.
 */

#include "board.h"
#include "lenet_300_100.h"

#define SIDE 28
#define BAR 24

extern const char drawing[]; /* the text of a file in digits/, see drawing.S */

static const char shades[] = " .:-=+*#%@";

static lenet_300_100_workspace workspace;
static float image[LENET_300_100_INPUTS];
static float scores[LENET_300_100_OUTPUTS];

/* How dark a letter is, from 0 to 1. */
static float ink(char letter)
{
    int shade = 0;

    while (shade < 9 && shades[shade] != letter)
        shade++;
    return (float)shade / 9.0f;
}

/* The picture: what is not drawn is white, as the network's header says inputs are scaled. */
static void read_drawing(void)
{
    const char *letter = drawing;
    int row, column;

    for (row = 0; row < SIDE; row++) {
        for (column = 0; *letter != '\0' && *letter != '\n'; letter++, column++)
            if (column < SIDE)
                image[row * SIDE + column] = ink(*letter);
        if (*letter == '\n')
            letter++;
    }
}

static void show_image(void)
{
    char line[SIDE + 2] = {0};
    int row, column;

    line[SIDE] = '\n';
    for (row = 0; row < SIDE; row++) {
        for (column = 0; column < SIDE; column++)
            line[column] = shades[(int)(image[row * SIDE + column] * 9.0f + 0.5f)];
        board_say(line);
    }
}

/* A score, to one decimal, and a bar for how far it is above the lowest. */
static void show_score(int digit, float score, float lowest, float highest)
{
    char line[] = "0        .   ";
    int tenths = (int)(score < 0.0f ? 0.5f - score * 10.0f : score * 10.0f + 0.5f);
    int is_negative = score < 0.0f && tenths > 0;
    int place = 8, marks = (int)((score - lowest) / (highest - lowest) * BAR);

    line[0] = (char)('0' + digit);
    line[10] = (char)('0' + tenths % 10);
    do
        line[place--] = (char)('0' + (tenths /= 10) % 10);
    while (tenths >= 10 && place > 2);
    if (is_negative)
        line[place] = '-';
    board_say(line);
    for (; marks > 0; marks--)
        board_say("#");
    board_say("\n");
}

int main(void)
{
    char answer[] = "\nThis is a 0.\n";
    int digit, best = 0, worst = 0;

    read_drawing();
    show_image();
    lenet_300_100_run(&workspace, image, scores);
    for (digit = 1; digit < LENET_300_100_OUTPUTS; digit++) {
        if (scores[digit] > scores[best])
            best = digit;
        if (scores[digit] < scores[worst])
            worst = digit;
    }
    board_say("\n");
    for (digit = 0; digit < LENET_300_100_OUTPUTS; digit++)
        show_score(digit, scores[digit], scores[worst], scores[best]);
    answer[11] = (char)('0' + best);
    board_say(answer);
    return 0;
}
