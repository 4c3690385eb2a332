/*
 * Runs a network over the inputs, and tells of each: the ticks it took and what came out, in hex.
 * It begins with no further one when its patience is at an end.
 *
 * A tick is 40 ns of the machine's timers, and the emulator is told how long an instruction takes.
 * How much a call takes is told first, of a function that does nothing but return.
 */

#include "board.h"
#include PROBED_HEADER

#define JOINED(a, b) a##b
#define NAME(a, b) JOINED(a, b)

#if NAME(PROBED_MACROS, _INPUTS) != PROBED_INPUTS
#error the network takes inputs of another length
#endif

#define OUTPUTS NAME(PROBED_MACROS, _OUTPUTS)

#define TIMER UINT32_C(0x40000000)  /* CMSDK APB timer: every tick */
#define COARSE UINT32_C(0x40002000) /* CMSDK dual timer: every 256th, to know how often it wrapped */
#define PAINT UINT32_C(0xA5C35A3C)

typedef NAME(PROBED, _workspace) workspace_type;
typedef void (*function)(workspace_type *, const float *, float *);
typedef struct {
    uint32_t fine, coarse;
} elapsed;

extern const float board_inputs[];
extern uint32_t board_bss_end, board_stack_top;

static workspace_type workspace;
static float output[OUTPUTS];
static union {
    float number;
    uint32_t bits;
} shown;

static void tell(uint32_t number)
{
    char text[] = " 00000000";
    int i;

    for (i = 8; i > 0; i--, number >>= 4)
        text[i] = "0123456789abcdef"[number & 15u];
    board_say(text);
}

__attribute__((naked, noipa)) static void return_at_once(void)
{
    __asm__ volatile("bx lr");
}

__attribute__((noipa)) static elapsed timed(function work, const float *input)
{
    elapsed before, after;

    before.coarse = BOARD_REGISTER(COARSE + 4);
    before.fine = BOARD_REGISTER(TIMER + 4);
    work(&workspace, input, output);
    after.fine = BOARD_REGISTER(TIMER + 4);
    after.coarse = BOARD_REGISTER(COARSE + 4);
    after.fine = before.fine - after.fine; /* they count down */
    after.coarse = before.coarse - after.coarse;
    return after;
}

__attribute__((noipa)) static void paint(void)
{
    uint32_t *end, *place;

    __asm__ volatile("mov %0, sp" : "=r"(end));
    for (place = &board_bss_end; place < end; place++)
        *place = PAINT;
}

/* Bytes of the stack that were in use at one time or another since it was painted. */
static uint32_t depth(void)
{
    const uint32_t *place = &board_bss_end;

    while (*place == PAINT)
        place++;
    return (uint32_t)((uintptr_t)&board_stack_top - (uintptr_t)place);
}

static void tell_elapsed(const char *what, elapsed took)
{
    board_say(what);
    tell(took.fine);
    tell(took.coarse);
}

int main(void)
{
    uint32_t i, k, own, spent = 0;
    elapsed took;
    unsigned char *rubbish = (unsigned char *)&workspace;

    for (i = 0; i < sizeof workspace; i++)
        rubbish[i] = 0xFF; /* not a number, should it be read before it is written */
    BOARD_REGISTER(TIMER + 4) = UINT32_MAX;
    BOARD_REGISTER(TIMER + 8) = UINT32_MAX;
    BOARD_REGISTER(TIMER) = 1;
    BOARD_REGISTER(COARSE) = UINT32_MAX;
    BOARD_REGISTER(COARSE + 8) = 0x8A; /* on, a 256th of the rate, 32 bits */

    paint();
    took = timed((function)return_at_once, board_inputs);
    own = depth();
    tell_elapsed("call", took);
    paint();
    for (i = 0; i < PROBED_SAMPLES && spent < PROBED_PATIENCE; i++, spent += took.coarse) {
        took = timed(NAME(PROBED, _run), board_inputs + i * PROBED_INPUTS);
        if (i == 0) {
            board_say("\nstack");
            tell(depth() - own);
        }
        tell_elapsed("\nrun", took);
        for (k = 0; k < OUTPUTS; k++) {
            shown.number = output[k];
            tell(shown.bits);
        }
    }
    board_say("\nend\n");
    return 0;
}
