/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train: makes models. Each command has a file of its own,
 * train-COMMAND.c; here is the table of them.
 */
#include "train.h"

#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static const struct
{
  const char *name;
  int (*run) (char **args);
  const char *summary;
} commands[] = {
  { "init", train_init, "writes a model with initial values" },
  { "check", train_check,
      "looks for what is wrong with a configuration and its data" },
  { "run", train_run, "trains as a configuration says" },
  { "resume", train_resume, "continues a run that was stopped" },
  { "eval", train_eval, "computes metrics of a model" },
  { "adapt", train_adapt, "trains a new task on a trained model" },
  { "efficiency", train_efficiency,
      "measures how few images a new task needs" },
  { "embed", train_embed, "writes the image vectors of a data set" },
};

char **train_command_line;

static void
print_usage (void)
{
  g_print (
      "Usage:\n"
      "  umedpt-train COMMAND [OPTION…]\n"
      "\n"
      "Makes models of UMedPT in C: one shared model, trained on many data sets.\n"
      "\n"
      "Commands:\n");
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_print ("  %-11s %s\n", commands[i].name, commands[i].summary);
  g_print ("\n"
           "umedpt-train COMMAND --help tells more about a command;\n"
           "umedpt-train check --keys lists what a configuration may say;\n"
           "umedpt-train --version prints the version.\n"
           "\n"
           "Research software, not a medical device.\n");
}

static char *
list_commands (void)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_string_append_printf (text, "%s%s", i ? ", " : "", commands[i].name);
  return g_string_free (text, FALSE);
}

/* Threads of every task's loader take and free large buffers. Left to itself,
 * the C library raises the size from which memory goes back to the system, and
 * each of its arenas keeps holes of some megabytes: as much again per task as
 * the batches. A size that is set stays. */
static void
bound_memory (void)
{
#ifdef __GLIBC__
  mallopt (M_MMAP_THRESHOLD, 128 << 10);
#endif
}

int
main (int argc, char **argv)
{
  g_auto (GStrv) args = g_strdupv (argv);
  g_autofree char *names = list_commands ();

  bound_memory ();
  program_begin ("umedpt-train");
  train_command_line = argv;
  if (argc < 2)
    return program_complain (PROGRAM_USAGE,
        "a command is missing; there are %s", names);
  if (g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h") ||
      g_str_equal (argv[1], "help")) {
    print_usage ();
    return program_end ();
  }
  if (g_str_equal (argv[1], "--version")) {
    g_print ("umedpt-train %s\n", umedpt_get_version ());
    return program_end ();
  }
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (argv[1], commands[i].name) == 0)
      return commands[i].run (args + 1);
  return program_complain (PROGRAM_USAGE,
      "there is no command '%s'; there are %s", argv[1], names);
}
