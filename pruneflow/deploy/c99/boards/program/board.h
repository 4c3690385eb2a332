/* The parts of the mps2 machines that programs here use. */

#ifndef board_included
#define board_included /* no network has macros in small letters */

#include <stdint.h>

#define BOARD_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* The serial line. */
void board_open(void);
void board_say(const char *text);

/* End the program. */
void board_stop(void);

#endif
