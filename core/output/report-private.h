/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pieces of a run's report: HTML text, line charts as SVG, confusion
 * matrices as tables.
 */
#pragma once

#include "output/run-log.h"

G_BEGIN_DECLS

/* A curve: points in order of x. */
typedef struct
{
  char *name;
  GArray *x, *y; /* of double */
} UmedptCurve;

GPtrArray *umedpt_curves_new (void); /* of UmedptCurve */
/* Adds a point to the curve @name, which is made if it is new. */
void umedpt_curves_add (GPtrArray *curves, const char *name, double x,
    double y);

void umedpt_report_append_text (GString *html, const char *text);
void umedpt_report_append_chart (GString *html, const char *title,
    const char *x_label, const GPtrArray *curves);
/* @json: [[…], …]; @labels: (nullable) JSON array of strings. Nothing is
 * appended when it is not a square matrix of counts. */
void umedpt_report_append_confusion (GString *html, const char *json,
    const char *labels);

G_END_DECLS
