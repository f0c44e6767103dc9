// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's shell scripts cannot do well themselves.
 *
 *   vmtool table BDI SECONDS [BUSY]
 *                               a line per second until the device is clean, or
 *                               not clean SECONDS after the file BUSY is gone
 *   vmtool flip FILE COUNT MS   write 0, 1, 0, 1, ... to FILE, COUNT times
 *   vmtool syncfs PATH          syncfs(2)
 *   vmtool fsync FILE           fsync(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug/"

/* The number after NAME at the start of a line of PATH; -1 if there is none. */
static long number(const char *path, const char *name)
{
	size_t len = strlen(name);
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) == 0 && strchr(" :\t", line[len])) {
			value = strtol(line + len + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	return value;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void print_line(long seconds, const char *stats, const char *counters)
{
	const char *pool = DEBUGFS "pdflush/pool";

	printf("# %5ld %9ld %9ld %7ld %4ld %6ld %7ld %8ld %10ld %10ld\n", seconds,
	       number(stats, "BdiReclaimable"), number(stats, "BdiWriteback"),
	       number(pool, "threads"), number(pool, "idle"),
	       number(pool, "queued"), number(pool, "ticks"),
	       number(pool, "handoffs"), number(counters, "pdflush_pages"),
	       number(counters, "flusher_pages"));
	fflush(stdout);
}

/* The kernel's page counts are per CPU and may be off by this much; lists are exact. */
#define NOISE_KB 256

static int clean(const char *stats)
{
	return number(stats, "BdiReclaimable") <= NOISE_KB &&
	       number(stats, "BdiWriteback") <= NOISE_KB &&
	       number(stats, "b_dirty") == 0 && number(stats, "b_io") == 0 &&
	       number(stats, "b_more_io") == 0;
}

/* Prints "clean after N ms" or "not clean after N ms" last. */
static int table(const char *bdi, long limit, const char *busy)
{
	char stats[128], counters[128];
	long start = now_ms(), next = start, idle = start, t;
	int done = 0;

	snprintf(stats, sizeof(stats), DEBUGFS "bdi/%s/stats", bdi);
	snprintf(counters, sizeof(counters), DEBUGFS "bdi/%s/pdflush", bdi);
	if (number(stats, "BdiReclaimable") < 0) {
		fprintf(stderr, "vmtool: cannot read %s\n", stats);
		return 2;
	}
	puts("#     s  dirty kB writeb kB threads idle queued   ticks handoffs pg/pdflush pg/flusher");
	for (t = start; ; t = now_ms()) {
		if (busy && access(busy, F_OK) == 0)
			idle = t;
		done = idle != t && clean(stats);
		if (t >= next || done) {
			print_line((t - start + 500) / 1000, stats, counters);
			next += 1000;
		}
		if (done || t - idle > limit * 1000)
			break;
		usleep(50 * 1000);
	}
	printf("# %sclean after %ld ms\n", done ? "" : "not ", t - idle);
	return done ? 0 : 1;
}

static int flip(const char *path, long count, long ms)
{
	long i;
	int fd;

	for (i = 0; i < count; i++) {
		fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, i & 1 ? "1\n" : "0\n", 2) != 2) {
			fprintf(stderr, "vmtool: %s: %s\n", path, strerror(errno));
			return 1;
		}
		close(fd);
		usleep(ms * 1000);
	}
	return 0;
}

static int sync_path(const char *path, int (*call)(int))
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || call(fd) != 0) {
		fprintf(stderr, "vmtool: %s: %s\n", path, strerror(errno));
		return 1;
	}
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if ((argc == 4 || argc == 5) && strcmp(what, "table") == 0)
		return table(argv[2], atol(argv[3]), argv[4]);
	if (argc == 5 && strcmp(what, "flip") == 0)
		return flip(argv[2], atol(argv[3]), atol(argv[4]));
	if (argc == 3 && strcmp(what, "syncfs") == 0)
		return sync_path(argv[2], syncfs);
	if (argc == 3 && strcmp(what, "fsync") == 0)
		return sync_path(argv[2], fsync);
	fprintf(stderr, "usage: vmtool table|flip|syncfs|fsync ...\n");
	return 2;
}
