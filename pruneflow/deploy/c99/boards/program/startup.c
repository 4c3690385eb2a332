/* What runs before main on a Cortex-M, and what is left of an operating system after it. */

#include "board.h"

extern uint32_t board_stack_top;
extern uint32_t board_data_start, board_data_end, board_data_kept;
extern uint32_t board_bss_start, board_bss_end;

int main(void);

void board_stop(void)
{
    BOARD_REGISTER(0xE000ED0C) = 0x05FA0004; /* a reset, at which the emulator ends */
    for (;;) {
    }
}

static void board_fault(void)
{
    board_say("\nfault\n");
    board_stop();
}

void board_reset(void)
{
    const uint32_t *from = &board_data_kept;
    uint32_t *to;

    for (to = &board_data_start; to < &board_data_end; to++)
        *to = *from++;
    for (to = &board_bss_start; to < &board_bss_end; to++)
        *to = 0;
#ifndef __ARM_FEATURE_UNALIGNED /* else the compiler may make them of several bytes */
    BOARD_REGISTER(0xE000ED14) |= UINT32_C(1) << 3; /* unaligned accesses fault */
#endif
#ifdef __ARM_FP
    BOARD_REGISTER(0xE000ED88) |= UINT32_C(0xF) << 20; /* the floating-point unit is on */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    board_open();
    (void)main();
    board_stop();
}

typedef void (*board_vector)(void);

__attribute__((section(".vectors"), used)) static const board_vector board_vectors[] = {
    (board_vector)(uintptr_t)&board_stack_top,
    board_reset,
    board_fault, /* NMI */
    board_fault, /* HardFault */
    board_fault, /* MemManage */
    board_fault, /* BusFault */
    board_fault, /* UsageFault */
};
