/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A report in sections of named values, printed as a table for people or as
 * JSON for programs.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _Report Report;

Report *report_new (void);
void report_free (Report *report);
void report_section (Report *report, const char *title, const char *key);
void report_text (Report *report, const char *title, const char *key,
    const char *format, ...) G_GNUC_PRINTF (4, 5);
void report_both (Report *report, const char *title, const char *key,
    const char *text, const char *json);
void report_print (const Report *report);
void report_print_json (const Report *report);
char *report_quote (const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Report, report_free)

G_END_DECLS
