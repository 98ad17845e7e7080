/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-info: what this installation can do, or, with a file, what a model is.
 * The first thing to ask for in a bug report, so that it must work without a
 * GPU, a driver or a model.
 */
#include <umedpt.h>

#include "info.h"
#include "program.h"

static struct
{
  gboolean json, verify, tensors, version;
  char **files;
} options;

static const GOptionEntry entries[] = {
  { "json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
      "print JSON for programs instead of a table", NULL },
  { "tensors", 't', 0, G_OPTION_ARG_NONE, &options.tensors,
      "list the tensors of FILE, which may be any safetensors file", NULL },
  { "verify", 0, 0, G_OPTION_ARG_NONE, &options.verify,
      "read all of FILE and compare its hash", NULL },
  { "version", 0, 0, G_OPTION_ARG_NONE, &options.version, "print the version",
      NULL },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.files, NULL,
      "[FILE]" },
  { NULL },
};

static gboolean
verify (const char *path, GError **error)
{
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (path, error);

  return model && umedpt_model_verify (model, error);
}

static int
run (void)
{
  const char *path = options.files ? options.files[0] : NULL;
  g_autoptr (Report) report = report_new ();
  g_autoptr (GError) error = NULL;
  gboolean good = TRUE;

  if (!path)
    info_system (report);
  else if (options.tensors)
    good = info_tensors (report, path, &error);
  else
    good = info_model (report, path, &error);
  if (good && options.verify)
    good = verify (path, &error);
  if (!good)
    return program_complain (PROGRAM_FAILED, "%s", error->message);
  if (options.verify) {
    report_section (report, "Contents", "contents");
    report_both (report, "hash", "verified", "right", "true");
  }
  if (options.json)
    report_print_json (report);
  else
    report_print (report);
  return program_end ();
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (
      "- what UMedPT in C can do here, or what a model is");
  g_auto (GStrv) args = g_strdupv (argv);
  g_autoptr (GError) error = NULL;

  program_begin ("umedpt-info");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_description (context,
      "Without FILE: version, backends, processor, and formats with the "
      "libraries that\nread and write them. With FILE: the model in it.\n"
      "\n"
      "Exit status: 0 done, 1 FILE cannot be read or is no model, 2 wrong "
      "options.\n");
  if (!g_option_context_parse_strv (context, &args, &error))
    return program_complain (PROGRAM_USAGE, "%s", error->message);
  if (options.version) {
    g_print ("umedpt-info %s\n", umedpt_get_version ());
    return program_end ();
  }
  if (options.files && options.files[1])
    return program_complain (PROGRAM_USAGE, "one FILE is expected, not %u",
        g_strv_length (options.files));
  if (!options.files && (options.verify || options.tensors))
    return program_complain (PROGRAM_USAGE, "--%s needs a FILE",
        options.verify ? "verify" : "tensors");
  return run ();
}
