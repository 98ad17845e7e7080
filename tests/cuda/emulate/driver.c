/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libcuda.so.1, as far as the library looks at it before it loads the CUDA
 * module: it is there.
 */
typedef int UmedptNoDriver;
