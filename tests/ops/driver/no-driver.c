/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libcuda.so.1 with nothing in it: what looks for NVIDIA's driver by its name
 * finds it, so that the rest of loading a module can be tested without one.
 */
int umedpt_no_driver_mark (void);

int
umedpt_no_driver_mark (void)
{
  return 0;
}
