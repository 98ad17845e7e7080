/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ctrl-C. A handler may do next to nothing, so signals are blocked in all
 * threads, and one thread waits for them: the first asks the work to stop, as
 * soon as what it is doing is whole; the second takes its usual course.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>

#include "train.h"

static GCancellable *cancellable;

static gpointer
wait_for_signals (gpointer data)
{
  sigset_t signals;
  int number;

  sigemptyset (&signals);
  sigaddset (&signals, SIGINT);
  sigaddset (&signals, SIGTERM);
  if (sigwait (&signals, &number) != 0)
    return NULL;
  g_printerr ("\nstopping after this round; again to stop at once\n");
  g_cancellable_cancel (cancellable);
  if (sigwait (&signals, &number) != 0)
    return NULL;
  signal (number, SIG_DFL);
  pthread_sigmask (SIG_UNBLOCK, &signals, NULL);
  raise (number);
  return NULL;
}

void
train_catch_signals (void)
{
  sigset_t signals;

  if (cancellable)
    return;
  signal (SIGXFSZ, SIG_IGN); /* a file too large is an error, not an end */
  cancellable = g_cancellable_new ();
  sigemptyset (&signals);
  sigaddset (&signals, SIGINT);
  sigaddset (&signals, SIGTERM);
  pthread_sigmask (SIG_BLOCK, &signals, NULL);
  g_thread_unref (g_thread_new ("signals", wait_for_signals, NULL));
}

GCancellable *
train_get_cancellable (void)
{
  return cancellable;
}
