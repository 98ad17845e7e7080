/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A grid, thread by thread. Each thread of a block is a fiber with a small
 * stack of its own, which gives way where the thread has to wait for others:
 * at a barrier, or at an exchange within the warp. A thread that never waits
 * costs a call: the fiber that ran it goes on with the next one.
 *
 * The order is as unkind as a GPU may be: blocks, warps and lanes run in
 * another order in every launch (the same in every run of a program), so that
 * a kernel that lacks a barrier gives other numbers sooner or later.
 * UMEDPT_EMULATE_ORDER=forward switches that off. Dynamic shared memory
 * is all NaN before a block begins, and ends at a page that nobody may touch.
 */
#include "emulate-private.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace {

const size_t page = 4096, stack_size = 64 << 10;
const size_t max_shared = 227 << 10;
const unsigned max_threads = 1024;

struct Copy
{
  void *shared;
  const void *global;
  bool valid;
  int group;
};

struct Fiber
{
#ifdef __x86_64__
  void *sp;
#else
  ucontext_t context;
#endif
};

struct Thread : EmulateThread
{
  unsigned number, warp, lane;
  Fiber *fiber;
  bool exited;
  const char *waits; /* for what, and where */
  const char *file;
  int line;
  std::vector<Copy> copies;
  int group; /* of copies: the current one */
};

/* An exchange that some lanes of a warp have come to. */
struct Exchange
{
  const char *name;
  unsigned mask, arrived;
  EmulateComplete complete;
  void *data[32];
};

struct Warp
{
  unsigned exited;
  std::vector<Exchange> exchanges;
};

struct Block
{
  const EmulateLaunch *launch;
  unsigned n_threads, n_started, n_exited;
  std::vector<Thread> threads;
  std::vector<unsigned> order;
  std::vector<Warp> warps;
  /* threads that may go on, a ring */
  std::vector<Thread *> ready;
  size_t ready_first, n_ready;
  bool last_first; /* of those that are ready */
  unsigned waiting; /* at the barrier */
  int count; /* of them with a value */
};

Block block;
Fiber host; /* who called emulate_run () */
Fiber *current;
/* fibers without a thread; never destroyed, for leak checkers run last */
std::vector<Fiber *> &idle = *new std::vector<Fiber *> ();
unsigned char *shared_end;
uint64_t random_state = 1;
bool running;

uint32_t
random_below (uint32_t n)
{
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t) ((random_state >> 33) % n);
}

/* ---- Fibers ---- */

void fiber_main (void);

#ifdef __x86_64__
extern "C" void emulate_switch (void **save, void *sp)
    __attribute__ ((visibility ("hidden")));
/* callee-saved registers go onto the stack that is left */
asm(".text\n"
    ".type emulate_switch, @function\n"
    ".hidden emulate_switch\n"
    ".globl emulate_switch\n"
    "emulate_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n"
    "  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n"
    "  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size emulate_switch, .-emulate_switch\n");

void
fiber_start (Fiber *fiber, char *stack, size_t size)
{
  void **top = (void **) ((uintptr_t) (stack + size) & ~(uintptr_t) 15);

  *--top = NULL; /* where fiber_main () would return to; aligns its stack */
  *--top = (void *) fiber_main;
  top -= 6;
  memset (top, 0, 6 * sizeof *top);
  fiber->sp = top;
}

void
fiber_switch (Fiber *to)
{
  Fiber *from = current;

  current = to;
  emulate_switch (&from->sp, to->sp);
}
#else
void
fiber_start (Fiber *fiber, char *stack, size_t size)
{
  getcontext (&fiber->context);
  fiber->context.uc_stack.ss_sp = stack;
  fiber->context.uc_stack.ss_size = size;
  makecontext (&fiber->context, fiber_main, 0);
}

void
fiber_switch (Fiber *to)
{
  Fiber *from = current;

  current = to;
  swapcontext (&from->context, &to->context);
}
#endif

/* A stack above a page that nobody may touch. The tops of stacks differ in
 * their lower bits, for the cache's sake. */
Fiber *
fiber_new (void)
{
  static unsigned n;
  size_t shift = n++ * 192 % page;
  char *stack = (char *) mmap (NULL, stack_size + page, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Fiber *fiber = new Fiber ();

  if (stack == MAP_FAILED)
    emulate_fail ("no memory for a thread's stack");
  mprotect (stack, page, PROT_NONE);
  fiber_start (fiber, stack + page, stack_size - shift);
  return fiber;
}

Fiber *
fiber_take (void)
{
  Fiber *fiber;

  if (idle.empty ())
    return fiber_new ();
  fiber = idle.back ();
  idle.pop_back ();
  return fiber;
}

/* ---- Who runs next ---- */

void
make_ready (Thread *thread)
{
  block.ready[(block.ready_first + block.n_ready++) % max_threads] = thread;
}

Thread *
take_ready (void)
{
  block.n_ready--;
  if (block.last_first)
    return block.ready[(block.ready_first + block.n_ready) % max_threads];
  Thread *thread = block.ready[block.ready_first];
  block.ready_first = (block.ready_first + 1) % max_threads;
  return thread;
}

/* Leaves the current fiber for another that has something to do. */
void
leave (void)
{
  if (block.n_ready > 0) {
    Thread *thread = take_ready ();

    emulate_self = thread;
    if (thread->fiber != current)
      fiber_switch (thread->fiber);
  } else if (block.n_started < block.n_threads) {
    fiber_switch (fiber_take ());
  } else {
    fiber_switch (&host);
  }
}

void
wait (const char *what, const char *file, int line)
{
  Thread *self = static_cast<Thread *> (emulate_self);

  self->waits = what;
  self->file = file;
  self->line = line;
  leave ();
  self->waits = NULL;
}

void
finish_copies (Thread *thread, int left)
{
  size_t kept = 0;

  for (Copy &copy : thread->copies) {
    if (copy.group + left >= thread->group) {
      thread->copies[kept++] = copy;
      continue;
    }
    if (copy.valid)
      memcpy (copy.shared, copy.global, 16);
    else
      memset (copy.shared, 0, 16);
  }
  thread->copies.resize (kept);
}

void
exit_thread (Thread *thread)
{
  thread->exited = true;
  block.n_exited++;
  block.warps[thread->warp].exited |= 1u << thread->lane;
  thread->copies.clear (); /* that nobody waited for */
}

/* Runs threads from the first one on, until others may go on. */
void
fiber_main (void)
{
  for (;;) {
    while (block.n_ready == 0 && block.n_started < block.n_threads) {
      Thread *thread = &block.threads[block.order[block.n_started++]];

      thread->fiber = current;
      emulate_self = thread;
      block.launch->body ();
      exit_thread (static_cast<Thread *> (emulate_self));
    }
    idle.push_back (current);
    leave ();
  }
}

/* ---- A block ---- */

[[noreturn]] void
fail_waiting (void)
{
  std::string text;
  unsigned told = 0;

  for (Thread &thread : block.threads) {
    char line[512];

    if (thread.exited || told++ >= 8)
      continue;
    snprintf (line, sizeof line, "\n  thread (%u, %u, %u) waits at %s, %s:%d",
        thread.index.x, thread.index.y, thread.index.z, thread.waits,
        thread.file, thread.line);
    text += line;
  }
  emulate_fail ("%u of %u threads wait for ever, %u have left the kernel:%s%s",
      block.n_threads - block.n_exited, block.n_threads, block.n_exited,
      text.c_str (), told > 8 ? "\n  …" : "");
}

/* Warps in any order, lanes in any order, but a warp at a time. */
void
shuffle_threads (void)
{
  static const char *order = getenv ("UMEDPT_EMULATE_ORDER");
  unsigned n = block.n_threads, n_warps = (n + 31) / 32, at = 0;
  unsigned first = 0, flip = 0;

  if (!order || strcmp (order, "forward") != 0) {
    first = random_below (n_warps);
    flip = random_below (32);
    block.last_first = random_below (2);
  }
  for (unsigned w = 0; w < n_warps; w++)
    for (unsigned lane = 0; lane < 32; lane++) {
      unsigned number = (w + first) % n_warps * 32 + (lane ^ flip);

      if (number < n)
        block.order[at++] = number;
    }
}

void
reset_threads (const EmulateLaunch &launch)
{
  const dim3 &size = launch.block;

  block.n_started = block.n_exited = block.waiting = 0;
  block.ready_first = block.n_ready = 0;
  block.count = 0;
  for (Warp &warp : block.warps) {
    warp.exited = 0;
    warp.exchanges.clear ();
  }
  for (unsigned i = 0; i < block.n_threads; i++) {
    Thread &thread = block.threads[i];

    thread.index = { i % size.x, i / size.x % size.y, i / size.x / size.y };
    thread.exited = false;
    thread.waits = NULL;
    thread.group = 0;
  }
}

void
run_block (const EmulateLaunch &launch)
{
  reset_threads (launch);
  if (launch.shared)
    memset (emulate_shared, 0xff, launch.shared);
  current = &host;
  fiber_switch (fiber_take ());
  if (block.n_exited < block.n_threads)
    fail_waiting ();
}

void
set_up_block (const EmulateLaunch &launch)
{
  unsigned n = launch.block.x * launch.block.y * launch.block.z;

  block.launch = &launch;
  block.n_threads = n;
  block.threads.resize (n);
  block.order.resize (n);
  block.ready.resize (max_threads);
  block.warps.resize ((n + 31) / 32);
  block.last_first = false;
  for (unsigned i = 0; i < n; i++) {
    block.threads[i].number = i;
    block.threads[i].warp = i / 32;
    block.threads[i].lane = i % 32;
  }
  shuffle_threads ();
}

void
set_up_shared (size_t size)
{
  if (!shared_end) {
    size_t room = (max_shared + page - 1) / page * page;
    unsigned char *memory = (unsigned char *) mmap (NULL, room + page,
        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
      emulate_fail ("no memory for shared memory");
    shared_end = memory + room;
    mprotect (shared_end, page, PROT_NONE);
  }
  emulate_shared = shared_end - (size + 15) / 16 * 16;
}

/* ---- What a bad address is told as ---- */

/* Signal handlers may not allocate: text is put together by hand. */
void
on_signal (int number, siginfo_t *info, void *)
{
  char text[1024];
  int length =
      snprintf (text, sizeof text, "\nCUDA emulator: %s at address %p%s%s%s\n",
          number == SIGSEGV ? "bad access" : "misaligned or bad access",
          info->si_addr, emulate_where (),
          emulate_is_device (info->si_addr, 1)
              ? ": that is device memory, which the host must not touch"
              : "",
          running ? "" : " (outside of kernels)");

  if (write (STDERR_FILENO, text, length) < 0)
    _exit (2);
  signal (number, SIG_DFL);
  raise (number);
}

} // namespace

EmulateThread *emulate_self;
uint3 emulate_block_index;
dim3 emulate_block_dim, emulate_grid_dim;
unsigned char *emulate_shared;

/* Kernels have stacks of their own, so the handler has one, too. */
void
emulate_watch (void)
{
  static thread_local bool watched;
  static char stack[64 << 10];
  stack_t alternate = {};
  struct sigaction action = {};

  if (watched)
    return;
  watched = true;
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack (&alternate, NULL);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction (SIGSEGV, &action, NULL);
  sigaction (SIGBUS, &action, NULL);
}

/* The grid's blocks, one after the other; which comes first changes. */
void
emulate_run (const EmulateLaunch &launch)
{
  uint64_t n = (uint64_t) launch.grid.x * launch.grid.y * launch.grid.z;

  emulate_watch ();
  set_up_block (launch);
  set_up_shared (launch.shared);
  emulate_block_dim = launch.block;
  emulate_grid_dim = launch.grid;
  running = true;
  for (uint64_t i = 0; i < n; i++) {
    uint64_t number = block.last_first ? n - 1 - i : i;

    emulate_block_index = { (unsigned) (number % launch.grid.x),
      (unsigned) (number / launch.grid.x % launch.grid.y),
      (unsigned) (number / launch.grid.x / launch.grid.y) };
    run_block (launch);
  }
  running = false;
}

const char *
emulate_where (void)
{
  static char text[512];

  text[0] = 0;
  if (running)
    snprintf (text, sizeof text,
        " in kernel %s, block (%u, %u, %u) of (%u, %u, %u), thread (%u, %u, "
        "%u) of (%u, %u, %u)",
        block.launch->name, blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x,
        gridDim.y, gridDim.z, threadIdx.x, threadIdx.y, threadIdx.z, blockDim.x,
        blockDim.y, blockDim.z);
  return text;
}

void
emulate_fail (const char *format, ...)
{
  va_list args;

  fprintf (stderr, "\nCUDA emulator%s: ", emulate_where ());
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
  fflush (NULL);
  abort ();
}

int
emulate_barrier (int value, const char *file, int line)
{
  Thread *self = static_cast<Thread *> (emulate_self);

  block.count += value;
  self->waits = "__syncthreads";
  if (++block.waiting < block.n_threads) {
    wait ("__syncthreads", file, line);
    return self->result;
  }
  for (Thread &thread : block.threads) {
    thread.result = block.count;
    if (&thread != self)
      make_ready (&thread);
  }
  block.waiting = 0;
  block.count = 0;
  return self->result;
}

void
emulate_collective (const char *name, unsigned mask, void *data,
    EmulateComplete complete, const char *file, int line)
{
  Thread *self = static_cast<Thread *> (emulate_self);
  Warp &warp = block.warps[self->warp];
  unsigned bit = 1u << self->lane, beyond = 0, at = 0;

  if (block.n_threads < 32 * (self->warp + 1))
    beyond = ~0u << (block.n_threads - 32 * self->warp);
  if (!(mask & bit))
    emulate_fail ("%s by a lane that is not in its mask 0x%08x, %s:%d", name,
        mask, file, line);
  if (mask & (warp.exited | beyond))
    emulate_fail ("%s with the mask 0x%08x, and lanes 0x%08x have left or do "
                  "not exist, %s:%d",
        name, mask, mask & (warp.exited | beyond), file, line);
  while (at < warp.exchanges.size () && warp.exchanges[at].mask != mask)
    at++;
  if (at == warp.exchanges.size ())
    warp.exchanges.push_back ({ name, mask, 0, complete, {} });
  Exchange *exchange = &warp.exchanges[at];
  if (strcmp (exchange->name, name) != 0)
    emulate_fail ("lanes of a warp are at %s and at %s with one mask, %s:%d",
        exchange->name, name, file, line);
  exchange->data[self->lane] = data;
  exchange->arrived |= bit;
  if (exchange->arrived != mask) {
    wait (name, file, line);
    return;
  }
  if (complete)
    complete (exchange->data);
  warp.exchanges.erase (warp.exchanges.begin () + at);
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask & ~bit & 1u << lane)
      make_ready (&block.threads[32 * self->warp + lane]);
}

void
emulate_copy_async (void *shared, const void *global, bool valid)
{
  Thread *self = static_cast<Thread *> (emulate_self);

  if ((uintptr_t) shared % 16 || (valid && (uintptr_t) global % 16))
    emulate_fail ("copy_async_16 from %p to %p: not aligned to 16 bytes",
        global, shared);
  memset (shared, 0xff, 16);
  self->copies.push_back ({ shared, global, valid, self->group });
}

void
emulate_copy_commit (void)
{
  static_cast<Thread *> (emulate_self)->group++;
}

void
emulate_copy_wait (int n)
{
  finish_copies (static_cast<Thread *> (emulate_self), n);
}
