/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The words that stand for the enums of a description in model files, in
 * configurations and on the command line, both ways. A word that is not known
 * is answered with the list of those that are.
 */
#include <string.h>

#include "base/error.h"
#include "net/description-private.h"

const char *const umedpt_norm_names[] = { "affinelayernorm", "layernorm",
  "instancenorm", "nonorm", NULL };
const char *const umedpt_order_names[] = { "before", "after", NULL };
const char *const umedpt_kind_names[] = { "classification", "multilabel",
  "regression", "segmentation", "multilabel-segmentation", "detection", NULL };
const char *const umedpt_grouper_names[] = { "none", "weighted", "attention",
  "gated", NULL };

/**
 * umedpt_norm_policy_get_name:
 * @policy: a norm policy
 *
 * Returns: its word in model files, as "affinelayernorm"
 *
 * Since: 0.1
 */
const char *
umedpt_norm_policy_get_name (UmedptNormPolicy policy)
{
  g_return_val_if_fail (policy <= UMEDPT_NORM_NONE, NULL);
  return umedpt_norm_names[policy];
}

/**
 * umedpt_pool_order_get_name:
 * @order: a pool order
 *
 * Returns: its word in model files, as "before"
 *
 * Since: 0.1
 */
const char *
umedpt_pool_order_get_name (UmedptPoolOrder order)
{
  g_return_val_if_fail (order <= UMEDPT_POOL_AFTER, NULL);
  return umedpt_order_names[order];
}

/**
 * umedpt_task_kind_get_name:
 * @kind: a kind of task
 *
 * Returns: its word in model files, as "detection"
 *
 * Since: 0.1
 */
const char *
umedpt_task_kind_get_name (UmedptTaskKind kind)
{
  g_return_val_if_fail (kind <= UMEDPT_TASK_DETECTION, NULL);
  return umedpt_kind_names[kind];
}

/**
 * umedpt_grouper_get_name:
 * @grouper: a grouper
 *
 * Returns: its word in model files, as "weighted"
 *
 * Since: 0.1
 */
const char *
umedpt_grouper_get_name (UmedptGrouper grouper)
{
  g_return_val_if_fail (grouper <= UMEDPT_GROUPER_GATED, NULL);
  return umedpt_grouper_names[grouper];
}

/* The index of @name in @names, or -1 with @error set: a user's choice. */
static gint
find_name (const char *name, const char *const *names, const char *what,
    GError **error)
{
  g_autofree char *list = NULL;

  for (gint i = 0; names[i]; i++)
    if (strcmp (name, names[i]) == 0)
      return i;
  list = g_strjoinv (", ", (char **) names);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "There is no %s '%s'; there are %s.", what, name, list);
  return -1;
}

/**
 * umedpt_norm_policy_parse:
 * @name: a word, as "affinelayernorm"
 * @policy: (out): what it means
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SETTINGS)
 *
 * Since: 0.1
 */
gboolean
umedpt_norm_policy_parse (const char *name, UmedptNormPolicy *policy,
    GError **error)
{
  gint index;

  g_return_val_if_fail (name != NULL && policy != NULL, FALSE);
  index = find_name (name, umedpt_norm_names, "norm policy", error);
  if (index >= 0)
    *policy = (UmedptNormPolicy) index;
  return index >= 0;
}

/**
 * umedpt_pool_order_parse:
 * @name: a word, as "before"
 * @order: (out): what it means
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SETTINGS)
 *
 * Since: 0.1
 */
gboolean
umedpt_pool_order_parse (const char *name, UmedptPoolOrder *order,
    GError **error)
{
  gint index;

  g_return_val_if_fail (name != NULL && order != NULL, FALSE);
  index = find_name (name, umedpt_order_names, "pool order", error);
  if (index >= 0)
    *order = (UmedptPoolOrder) index;
  return index >= 0;
}

/**
 * umedpt_task_kind_parse:
 * @name: a word, as "detection"
 * @kind: (out): what it means
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SETTINGS)
 *
 * Since: 0.1
 */
gboolean
umedpt_task_kind_parse (const char *name, UmedptTaskKind *kind, GError **error)
{
  gint index;

  g_return_val_if_fail (name != NULL && kind != NULL, FALSE);
  index = find_name (name, umedpt_kind_names, "kind of task", error);
  if (index >= 0)
    *kind = (UmedptTaskKind) index;
  return index >= 0;
}

/**
 * umedpt_grouper_parse:
 * @name: a word, as "weighted"
 * @grouper: (out): what it means
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_SETTINGS)
 *
 * Since: 0.1
 */
gboolean
umedpt_grouper_parse (const char *name, UmedptGrouper *grouper, GError **error)
{
  gint index;

  g_return_val_if_fail (name != NULL && grouper != NULL, FALSE);
  index = find_name (name, umedpt_grouper_names, "grouper", error);
  if (index >= 0)
    *grouper = (UmedptGrouper) index;
  return index >= 0;
}
