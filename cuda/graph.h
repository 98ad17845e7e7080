/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * CUDA graphs for UmedptBackend. See graph.c.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

gboolean umedpt_cuda_graph_begin (UmedptBackend *backend, GError **error);
gpointer umedpt_cuda_graph_end (UmedptBackend *backend, GError **error);
gboolean umedpt_cuda_graph_run (UmedptBackend *backend, gpointer graph,
    GError **error);
void umedpt_cuda_graph_free (UmedptBackend *backend, gpointer graph);

G_END_DECLS
