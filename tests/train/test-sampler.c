/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The order of tasks: written out for the samplers without chance; for
 * "balanced" each batch once, another order in another epoch, and the same
 * whatever was asked before.
 */
#include "train/sampler.h"

static const guint n_batches[] = { 3, 1, 2 };

static void
check_order (UmedptSampler sampler, const char *expected)
{
  g_autoptr (UmedptSamplerPlan) plan =
      umedpt_sampler_plan_new (sampler, 3, n_batches, 1);
  g_autoptr (GString) order = g_string_new (NULL);

  for (guint64 i = 0; i < umedpt_sampler_plan_get_length (plan); i++)
    g_string_append_printf (order, "%u", umedpt_sampler_plan_get (plan, 0, i));
  g_assert_cmpstr (order->str, ==, expected);
}

static void
test_fixed (void)
{
  check_order (UMEDPT_SAMPLER_CYCLIC, "012012012");
  check_order (UMEDPT_SAMPLER_SHORTEST, "012");
  check_order (UMEDPT_SAMPLER_CONCAT, "000122");
}

static char *
get_epoch (UmedptSamplerPlan *plan, guint64 epoch)
{
  GString *order = g_string_new (NULL);

  for (guint64 i = 0; i < umedpt_sampler_plan_get_length (plan); i++)
    g_string_append_printf (order, "%u",
        umedpt_sampler_plan_get (plan, epoch, i));
  return g_string_free (order, FALSE);
}

static void
test_balanced (void)
{
  const guint many[] = { 30, 10, 20 };
  g_autoptr (UmedptSamplerPlan) plan =
      umedpt_sampler_plan_new (UMEDPT_SAMPLER_BALANCED, 3, many, 1);
  g_autoptr (UmedptSamplerPlan) other =
      umedpt_sampler_plan_new (UMEDPT_SAMPLER_BALANCED, 3, many, 2);
  g_autofree char *first = get_epoch (plan, 0);
  g_autofree char *second = get_epoch (plan, 1);
  g_autofree char *again = get_epoch (plan, 0);
  g_autofree char *other_seed = get_epoch (other, 0);
  guint counts[3] = { 0 };

  g_assert_cmpstr (first, ==, again);
  g_assert_cmpstr (first, !=, second);
  g_assert_cmpstr (first, !=, other_seed);
  for (const char *c = first; *c; c++)
    counts[*c - '0']++;
  g_assert_cmpmem (counts, sizeof counts, many, sizeof many);
  /* asked in the middle, as after a resume */
  for (guint64 i = 0; i < 60; i++)
    g_assert_cmpint (umedpt_sampler_plan_get (other, 5, 59 - i), ==,
        umedpt_sampler_plan_get (other, 5, 59 - i));
}

static void
test_one_task (void)
{
  const guint one = 2;
  g_autoptr (UmedptSamplerPlan) plan =
      umedpt_sampler_plan_new (UMEDPT_SAMPLER_CYCLIC, 1, &one, 1);

  g_assert_cmpuint (umedpt_sampler_plan_get_length (plan), ==, 2);
  g_assert_cmpuint (umedpt_sampler_plan_get (plan, 9, 1), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/fixed", test_fixed);
  g_test_add_func ("/sampler/balanced", test_balanced);
  g_test_add_func ("/sampler/one-task", test_one_task);
  return g_test_run ();
}
