// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first and only process of the guest of scripts/measure.  Runs the part
 * that the kernel command line names (part=, rounds=) and prints its table.
 *
 * Nothing here forks, and what can be read from the kernel's own event trace
 * afterwards is not polled for: both would be measured as well.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/fiemap.h>
#include <linux/fs.h>

/* Linux 6.5, and so later than many a libc */
#ifndef SYS_cachestat
#define SYS_cachestat	451
#endif

#define CONFIGFS	"/sys/kernel/config/nullb/"
#define DEBUGFS		"/sys/kernel/debug/"
#define TRACEFS		"/sys/kernel/tracing/"
#define MAX_ACTIVE	"/sys/devices/virtual/workqueue/writeback/max_active"
#define VM		"/proc/sys/vm/"

#define MB		(1024 * 1024)
#define PAGE		4096
#define CHUNK		(64 * 1024)

#define MAX_ROUNDS	32
#define MAX_WAYS	7
#define MAX_ROWS	12
#define MAX_DEVICES	64
#define MAX_CPUS	16

/* Bits of wb->state, from enum wb_state */
#define WB_WRITEBACK_RUNNING	0x2
#define WB_START_ALL		0x8

/*
 * Who writes, and within what bounds; max_active 0 is the kernel's default, and
 * slice 0 the flusher's rule.
 */
struct way {
	const char	*name;
	bool		pdflush;
	int		max_active;
	int		min;
	int		max;		/* 0: automatic */
	int		slice;		/* vm.max_writeback_pages */
	int		threads;	/* pdflush_max_threads */
};

static const struct way F_AND_P[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P", true, 0, 2, 0, 0, 0 },
};

struct row {
	const char	*label;
	double		value[MAX_WAYS][MAX_ROUNDS + 1];
};

/* What a part prints: a row per quantity, a column per way. */
struct table {
	const char	*title;
	const struct way *ways;
	int		nr_ways;
	int		nr_rows;
	struct row	rows[MAX_ROWS];
};

struct device {
	char		name[32];
	char		bdi[16];
};

/* Fields of /sys/block/X/stat */
struct io {
	unsigned long	requests;
	unsigned long	sectors;
	unsigned long	in_flight;
};

static int rounds;
static const char *current_way = "none";
static long default_max_active;
static char page[PAGE] __attribute__((aligned(PAGE)));
static char chunk[MB] __attribute__((aligned(PAGE)));
static char reading[MB] __attribute__((aligned(PAGE)));

/* ---- reporting ---- */

static void problem(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("problem: ");
	vprintf(fmt, args);
	putchar('\n');
	va_end(args);
	fflush(stdout);
}

static void __attribute__((noreturn)) end(void)
{
	fflush(stdout);
	/* the host has to read it first */
	usleep(200 * 1000);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) fail(const char *what)
{
	problem("%s: %s", what, strerror(errno));
	end();
}

/* ---- files ---- */

/* Good until eight more have been made. */
static const char *path_of(const char *fmt, ...)
{
	static char paths[8][128];
	static int i;
	va_list args;

	i = (i + 1) % 8;
	va_start(args, fmt);
	vsnprintf(paths[i], sizeof(paths[i]), fmt, args);
	va_end(args);
	return paths[i];
}

static void put(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list args;
	int fd, len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_TRUNC);	/* this empties the trace */
	if (fd < 0 || write(fd, text, len) != len)
		fail(path);
	close(fd);
}

static void get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	if (len < 0)
		fail(path);
	close(fd);
	text[len] = '\0';
}

static long get_number(const char *path)
{
	char text[64];

	get(path, text, sizeof(text));
	return strtol(text, NULL, 10);
}

/* The number after NAME at the start of a line of TEXT; @base as in strtol() */
static long field(const char *text, const char *name, int base)
{
	size_t len = strlen(name);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, name, len) && strchr(" :", text[len]))
			return strtol(text + len + 1, NULL, base);
	}
	problem("no %s", name);
	end();
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void sleep_ms(double ms)
{
	usleep(ms * 1000);
}

/* ---- numbers ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int nr)
{
	double v[MAX_ROUNDS];

	memcpy(v, values, nr * sizeof(*v));
	qsort(v, nr, sizeof(*v), compare);
	return nr % 2 ? v[nr / 2] : (v[nr / 2 - 1] + v[nr / 2]) / 2;
}

static const char *number(double v)
{
	static char text[4][24];
	static int i;

	i = (i + 1) % 4;
	if (v && fabs(v) < 10)
		snprintf(text[i], sizeof(text[i]), v == floor(v) ? "%.0f" : "%.2f", v);
	else
		snprintf(text[i], sizeof(text[i]), "%.0f", v);
	return text[i];
}

static struct row *add_row(struct table *t, const char *label)
{
	struct row *row = &t->rows[t->nr_rows++];

	if (t->nr_rows > MAX_ROWS)
		abort();
	row->label = label;
	return row;
}

/* The ratio is the median of those of the pairs, second way by first. */
static void print_table(const struct table *t)
{
	char cell[64];
	int r, w, i;

	printf("\n%s\n%-40s", t->title, "");
	for (w = 0; w < t->nr_ways; w++)
		printf(" %-20s", t->ways[w].name);
	if (t->nr_ways == 2)
		printf(" ratio");
	putchar('\n');
	for (r = 0; r < t->nr_rows; r++) {
		const struct row *row = &t->rows[r];
		double ratio[MAX_ROUNDS];

		printf("  %-38s", row->label);
		for (w = 0; w < t->nr_ways; w++) {
			double least = INFINITY, most = -INFINITY;

			for (i = 0; i < rounds; i++) {
				least = fmin(least, row->value[w][i]);
				most = fmax(most, row->value[w][i]);
			}
			snprintf(cell, sizeof(cell), "%s [%s-%s]",
				 number(median(row->value[w], rounds)),
				 number(least), number(most));
			printf(" %-20s", cell);
		}
		for (i = 0; i < rounds; i++)
			ratio[i] = row->value[1][i] / row->value[0][i];
		if (t->nr_ways == 2 && isfinite(median(ratio, rounds)))
			printf(" %.2f", median(ratio, rounds));
		putchar('\n');
	}
	fflush(stdout);
}

/*
 * Calls @run for each way of each round, A B C, C B A, ...  Where time is what
 * counts, once before for nothing: the host gives memory when it is touched.
 */
static void take_turns(const struct table *t, bool warm_up,
		       void (*run)(int way, int round, void *arg), void *arg)
{
	int round, i;

	if (warm_up)
		run(0, MAX_ROUNDS, arg);

	for (round = 0; round < rounds; round++)
		for (i = 0; i < t->nr_ways; i++)
			run(round % 2 ? t->nr_ways - 1 - i : i, round, arg);
}

/* ---- devices ---- */

struct null_params {
	long	mb;
	bool	memory;		/* keeps what is written */
	double	delay_ms;	/* of each request; 0: completes at once */
	int	depth;		/* requests at a time */
	int	mbps;		/* 0: not limited */
};

static void null_attr(const char *name, const char *attr, long value)
{
	const char *path;

	path = path_of(CONFIGFS "%s/%s", name, attr);
	put(path, "%ld\n", value);
}

static void null_create(struct device *dev, const char *name,
			const struct null_params *p)
{
	const char *path;

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	path = path_of(CONFIGFS "%s", name);
	if (mkdir(path, 0755))
		fail(path);
	null_attr(name, "size", p->mb);
	null_attr(name, "memory_backed", p->memory);
	null_attr(name, "blocksize", PAGE);
	null_attr(name, "submit_queues", 1);
	null_attr(name, "hw_queue_depth", p->depth);
	null_attr(name, "mbps", p->mbps);
	null_attr(name, "irqmode", p->delay_ms ? 2 : 0);
	if (p->delay_ms)
		null_attr(name, "completion_nsec", p->delay_ms * 1e6);
	null_attr(name, "power", 1);

	path = path_of("/sys/block/%s/dev", name);
	get(path, dev->bdi, sizeof(dev->bdi));
	dev->bdi[strcspn(dev->bdi, "\n")] = '\0';
}

static void null_destroy(const struct device *dev)
{
	const char *path;

	null_attr(dev->name, "power", 0);
	path = path_of(CONFIGFS "%s", dev->name);
	if (rmdir(path))
		fail(path);
}

static int open_device(const struct device *dev, int flags)
{
	const char *path;
	int fd;

	path = path_of("/dev/%s", dev->name);
	fd = open(path, flags);
	if (fd < 0)
		fail(path);
	return fd;
}

static struct io device_io(const struct device *dev)
{
	const char *path;
	char text[256];
	struct io io;

	path = path_of("/sys/block/%s/stat", dev->name);
	get(path, text, sizeof(text));
	if (sscanf(text, "%*u %*u %*u %*u %lu %*u %lu %*u %lu", &io.requests,
		   &io.sectors, &io.in_flight) != 3)
		fail(path);
	return io;
}

static long bdi_counter(const struct device *dev, const char *name)
{
	const char *path;
	char text[512];

	path = path_of(DEBUGFS "bdi/%s/pdflush", dev->bdi);
	get(path, text, sizeof(text));
	return field(text, name, 10);
}

static long pool_counter(const char *name)
{
	char text[512];

	get(DEBUGFS "pdflush/pool", text, sizeof(text));
	return field(text, name, 10);
}

static void bdi_stats(const struct device *dev, char *text, size_t size)
{
	const char *path;

	path = path_of(DEBUGFS "bdi/%s/stats", dev->bdi);
	get(path, text, size);
}

static long wb_state(const struct device *dev)
{
	char text[1024];

	bdi_stats(dev, text, sizeof(text));
	return field(text, "state", 16);
}

/*
 * No inode waits, no round is under way that may hold back a request, and the
 * device is through; in this order.  The lists are exact, page counts are not.
 */
static bool is_clean(const struct device *dev)
{
	char text[1024];

	if (device_io(dev).in_flight)
		return false;
	bdi_stats(dev, text, sizeof(text));
	return !field(text, "b_dirty", 10) && !field(text, "b_io", 10) &&
	       !field(text, "b_more_io", 10) &&
	       !(field(text, "state", 16) & WB_WRITEBACK_RUNNING) &&
	       !device_io(dev).in_flight;
}

static void __attribute__((noreturn)) not_clean(const struct device *dev)
{
	struct io io = device_io(dev);
	char text[1024];

	bdi_stats(dev, text, sizeof(text));
	problem("%s, way %s: not clean after a minute; %lu requests, state %lx, b_dirty %ld, b_io %ld",
		dev->name, current_way, io.in_flight, field(text, "state", 16),
		field(text, "b_dirty", 10), field(text, "b_io", 10));
	end();
}

static double wait_clean(const struct device *devs, int nr, double poll_ms)
{
	double start = now_ms();
	int i = 0;

	while (i < nr) {
		if (is_clean(&devs[i])) {
			i++;
			continue;
		}
		if (now_ms() - start > 60 * 1000)
			not_clean(&devs[i]);
		sleep_ms(poll_ms);
	}
	return now_ms() - start;
}

/* ---- knobs ---- */

static void set_interval(long centisecs)
{
	put(VM "dirty_writeback_centisecs", "%ld\n", centisecs);
}

/*
 * A new interval makes the kernel start everybody on all dirty data; here it
 * is long enough to have no other effect.  The same call for every way.
 */
static void kick(void)
{
	static long interval = 60000;

	interval ^= 1;
	set_interval(interval);
}

static void limits(long background_mb, long dirty_mb, long expire_cs)
{
	put(VM "dirty_bytes", "%ld\n", 2000L * MB);
	put(VM "dirty_background_bytes", "%ld\n", background_mb * MB);
	put(VM "dirty_bytes", "%ld\n", dirty_mb * MB);
	put(VM "dirty_expire_centisecs", "%ld\n", expire_cs);
}

/* Nothing is written unless somebody asks for it. */
static void quiet(void)
{
	limits(1000, 1500, 360000);
	kick();
}

static void choose(const struct way *way, const struct device *devs, int nr)
{
	const char *path;
	int i;

	current_way = way->name;
	put(VM "nr_pdflush_threads_min", "1\n");
	put(VM "nr_pdflush_threads_max", "%d\n", way->max);
	put(VM "nr_pdflush_threads_min", "%d\n", way->min);
	put(VM "max_writeback_pages", "%d\n", way->slice);
	put(MAX_ACTIVE, "%ld\n", way->max_active ? way->max_active : default_max_active);
	for (i = 0; i < nr; i++) {
		path = path_of("/sys/class/bdi/%s/pdflush", devs[i].bdi);
		put(path, "%d\n", way->pdflush);
	}
}

/* Is a column what its head says? */
static void check_who(const struct way *way, const struct device *dev,
		      long pdflush_before, long flusher_before)
{
	long by_pdflush = bdi_counter(dev, "pdflush_pages") - pdflush_before;
	long by_flusher = bdi_counter(dev, "flusher_pages") - flusher_before;

	if (way->pdflush ? !by_pdflush || by_flusher : by_pdflush || !by_flusher)
		problem("%s: pdflush wrote %ld pages, the flusher %ld",
			way->name, by_pdflush, by_flusher);
}

/* ---- the event trace ---- */

struct event {
	char		*comm;
	int		pid;
	int		cpu;
	double		ms;
	char		*name;
	char		*text;
};

static void trace_on(const char *const *events)
{
	const char *path;

	put(TRACEFS "tracing_on", "0\n");
	put(TRACEFS "trace_clock", "mono\n");
	put(TRACEFS "buffer_size_kb", "8192\n");
	put(TRACEFS "trace", "\n");
	for (; *events; events++) {
		path = path_of(TRACEFS "events/%s/enable", *events);
		put(path, "1\n");
	}
	put(TRACEFS "tracing_on", "1\n");
}

/* "comm-12 [001] ..... 3.456789: name: text", comm may hold anything */
static bool parse_event(char *line, struct event *e)
{
	char *bracket, *dash, *colon;

	if (*line == '#')
		return false;
	bracket = strstr(line, " [0");
	if (!bracket)
		return false;
	*bracket = '\0';
	dash = strrchr(line, '-');
	if (!dash)
		return false;
	*dash = '\0';
	e->comm = line + strspn(line, " ");
	e->pid = atoi(dash + 1);
	e->cpu = atoi(bracket + 2);
	colon = strstr(bracket + 1, ": ");
	if (!colon)
		return false;
	*colon = '\0';
	e->ms = strtod(strrchr(bracket + 1, ' '), NULL) * 1e3;
	e->name = colon + 2;
	colon = strchr(e->name, ':');
	if (!colon)
		return false;
	*colon = '\0';
	e->text = colon + 1;
	return true;
}

static void trace_off(void (*seen)(const struct event *e, void *arg), void *arg)
{
	char *line = NULL;
	struct event e;
	size_t size = 0;
	FILE *f;

	put(TRACEFS "tracing_on", "0\n");
	f = fopen(TRACEFS "trace", "r");
	if (!f)
		fail(TRACEFS "trace");
	while (getline(&line, &size, f) > 0) {
		if (strstr(line, "LOST"))
			problem("the trace is not complete");
		if (parse_event(line, &e))
			seen(&e, arg);
	}
	free(line);
	fclose(f);
	put(TRACEFS "events/enable", "0\n");
}

/* From a kick to the last request, by the trace: a look at the lists costs. */
struct span {
	double	kicked;
	double	last;
};

static void span_seen(const struct event *e, void *arg)
{
	struct span *span = arg;

	if (!strcmp(e->name, "tracing_mark_write"))
		span->kicked = e->ms;
	if (!strcmp(e->name, "block_rq_complete"))
		span->last = e->ms;
}

static void marked_kick(void)
{
	put(TRACEFS "trace_marker", "kick\n");
	kick();
}

/* ---- ext4 ---- */

/* The blocks of an empty filesystem that hold anything. */
struct blank {
	const char	*fs;
	const char	*disk;
	int		nr;
	long		mb;
	struct {
		off_t	offset;
		char	*data;
	} *chunks;
};

static struct blank blanks[] = {
	{ .fs = "ext4", .disk = "/dev/ubda" },
	{ .fs = "xfs", .disk = "/dev/ubdb" },
	{ .fs = "ext2", .disk = "/dev/ubdc" },
};

static long blank_mb;

static void read_blank(struct blank *b)
{
	ssize_t len;
	off_t at;
	int fd;

	if (b->nr)
		return;
	fd = open(b->disk, O_RDONLY);
	if (fd < 0)
		fail(b->disk);
	for (at = 0; (len = pread(fd, chunk, CHUNK, at)) == CHUNK; at += CHUNK) {
		if (!chunk[0] && !memcmp(chunk, chunk + 1, CHUNK - 1))
			continue;
		b->chunks = realloc(b->chunks, (b->nr + 1) * sizeof(*b->chunks));
		b->chunks[b->nr].offset = at;
		b->chunks[b->nr].data = aligned_alloc(PAGE, CHUNK);
		memcpy(b->chunks[b->nr++].data, chunk, CHUNK);
	}
	if (len || !b->nr)
		fail(b->disk);
	b->mb = at / MB;
	close(fd);
	memset(chunk, 'x', sizeof(chunk));
}

static void mount_fs(const struct device *dev, const char *fs,
		     const char *options)
{
	int fd = open_device(dev, O_WRONLY | O_DIRECT), i;
	struct blank *b = blanks;
	const char *path;

	while (strcmp(b->fs, fs))
		b++;
	read_blank(b);
	for (i = 0; i < b->nr; i++)
		if (pwrite(fd, b->chunks[i].data, CHUNK, b->chunks[i].offset) != CHUNK)
			fail(dev->name);
	close(fd);
	path = path_of("/dev/%s", dev->name);
	if (mount(path, "/mnt", fs, MS_NOATIME, options))
		fail("mount");
}

static void mount_blank(const struct device *dev, const char *options)
{
	mount_fs(dev, "ext4", options);
}

static int create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0)
		fail(path);
	return fd;
}

static void write_at(int fd, const char *data, size_t size, off_t at)
{
	if (pwrite(fd, data, size, at) != (ssize_t)size)
		fail("write");
}

static void sync_mnt(void)
{
	int fd = open("/mnt", O_RDONLY);

	if (fd < 0 || syncfs(fd))
		fail("syncfs");
	close(fd);
}

static unsigned int extents(const char *path)
{
	struct fiemap map = { .fm_length = FIEMAP_MAX_OFFSET };
	int fd = open(path, O_RDONLY);

	if (fd < 0 || ioctl(fd, FS_IOC_FIEMAP, &map))
		fail(path);
	close(fd);
	return map.fm_mapped_extents;
}

/* ---- part locality ---- */

#define LARGE_MB	192
#define SMALL_FILES	4000
#define SMALL_SIZE	(2 * PAGE)

/* The same pages in the same order every time */
static unsigned int next_random(unsigned int *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static const char *small_path(int i)
{
	return path_of("/mnt/%d/%d", i % 20, i);
}

static void dirty_large(void)
{
	int fd = create("/mnt/large"), i;

	for (i = 0; i < LARGE_MB; i++)
		write_at(fd, chunk, MB, (off_t)i * MB);
	close(fd);
}

static void dirty_random(void)
{
	unsigned int state = 1;
	int fd = create("/mnt/large"), i;

	for (i = 0; i < LARGE_MB * MB / PAGE / 4; i++)
		write_at(fd, page, PAGE, (off_t)PAGE *
			 (next_random(&state) % (LARGE_MB * MB / PAGE)));
	close(fd);
}

static void dirty_small(void)
{
	const char *path;
	int fd, i;

	for (i = 0; i < 20; i++) {
		path = path_of("/mnt/%d", i);
		if (mkdir(path, 0755))
			fail(path);
	}
	for (i = 0; i < SMALL_FILES; i++) {
		path = small_path(i);
		fd = create(path);
		write_at(fd, chunk, SMALL_SIZE, 0);
		close(fd);
	}
}

static double small_extents(void)
{
	double sum = 0;
	const char *path;
	int i;

	for (i = 0; i < SMALL_FILES; i++) {
		path = small_path(i);
		sum += extents(path);
	}
	return sum;
}

static double large_extents(void)
{
	return extents("/mnt/large");
}

struct locality {
	struct table	table;
	void		(*before)(void);
	void		(*dirty)(void);
	double		(*extents)(void);
	struct row	*clean, *requests, *size, *all, *extents_row;
};

static void locality_run(int w, int round, void *arg)
{
	static const char *const events[] = { "block/block_rq_complete", NULL };
	struct locality *l = arg;
	const struct way *way = &l->table.ways[w];
	const struct null_params params = { blank_mb, true, 0, 64, 0 };
	long by_pdflush, by_flusher;
	struct io first, clean, last;
	struct span span = { 0, 0 };
	struct device dev;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	/* the journal writes when it is told to */
	mount_blank(&dev, "commit=3000");
	if (l->before)
		l->before();
	sync_mnt();
	l->dirty();
	first = device_io(&dev);
	by_pdflush = bdi_counter(&dev, "pdflush_pages");
	by_flusher = bdi_counter(&dev, "flusher_pages");
	trace_on(events);
	marked_kick();
	/* each look takes the lock of the lists and walks them */
	sleep_ms(500);
	wait_clean(&dev, 1, 300);
	trace_off(span_seen, &span);
	l->clean->value[w][round] = span.last - span.kicked;
	check_who(way, &dev, by_pdflush, by_flusher);
	clean = device_io(&dev);
	sync_mnt();
	last = device_io(&dev);
	l->requests->value[w][round] = clean.requests - first.requests;
	l->size->value[w][round] = (clean.sectors - first.sectors) / 2.0 /
				   (clean.requests - first.requests);
	l->all->value[w][round] = last.requests - first.requests;
	l->extents_row->value[w][round] = l->extents();
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void locality(const char *title, void (*before)(void),
		     void (*dirty)(void), double (*extents_of)(void))
{
	struct locality l = {
		.table = { .title = title, .ways = F_AND_P, .nr_ways = 2 },
		.before = before, .dirty = dirty, .extents = extents_of,
	};

	l.clean = add_row(&l.table, "time to clean, ms");
	l.requests = add_row(&l.table, "write requests until clean");
	l.size = add_row(&l.table, "mean size of these, kB");
	l.all = add_row(&l.table, "requests with the sync after it");
	l.extents_row = add_row(&l.table, "extents");
	take_turns(&l.table, true, locality_run, &l);
	print_table(&l.table);
}

/* What the device can do by itself, in MB/s; without a cache in between. */
static double raw_speed(const struct device *dev, size_t size, int count)
{
	int fd = open_device(dev, O_WRONLY | O_DIRECT), i;
	unsigned int state = 1;
	double start = now_ms();
	off_t at;

	for (i = 0; i < count; i++) {
		at = i;
		if (size == PAGE)
			at = next_random(&state) % (LARGE_MB * MB / PAGE);
		write_at(fd, chunk, size, at * size);
	}
	close(fd);
	return size / 1048576.0 * count / ((now_ms() - start) / 1e3);
}

static void print_raw(const struct null_params *params)
{
	struct device dev;
	double sequential, random;

	null_create(&dev, "raw", params);
	raw_speed(&dev, MB, LARGE_MB);
	sequential = raw_speed(&dev, MB, LARGE_MB);
	random = raw_speed(&dev, PAGE, params->mbps ? 4000 : 20000);
	null_destroy(&dev);
	printf("# the device by itself, O_DIRECT: sequential 1 MB %.0f MB/s, random 4 kB %.0f MB/s\n",
	       sequential, random);
	fflush(stdout);
}

static void part_locality(void)
{
	const struct null_params params = { blank_mb, true, 0, 64, 0 };

	quiet();
	print_raw(&params);
	locality("one file of 192 MB, written in order", NULL, dirty_large,
		 large_extents);
	locality("12288 random writes of 4 kB over that file", dirty_large,
		 dirty_random, large_extents);
	locality("4000 files of 8 kB in 20 directories", NULL, dirty_small,
		 small_extents);
}

/* ---- part slice ---- */

#define SLICE_FILES	4
#define SLICE_MB	48
#define SLICE_MBPS	100

static const struct way slice_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P", true, 0, 2, 0, 0, 0 },
	{ "P slice=4096", true, 0, 2, 0, 4096, 0 },
	{ "P slice=1024", true, 0, 2, 0, 1024, 0 },
	{ "P slice=256", true, 0, 2, 0, 256, 0 },
};

struct slice {
	struct table	table;
	struct row	*small, *all, *requests, *size, *extents_row;
};

/* Pages of the file that are not on the device yet */
static unsigned long long unwritten(int fd)
{
	struct {
		unsigned long long off, len;
	} range = { 0, 0 };
	struct {
		unsigned long long cache, dirty, writeback, evicted, recent;
	} stat;

	if (syscall(SYS_cachestat, fd, &range, &stat, 0))
		fail("cachestat");
	return stat.dirty + stat.writeback;
}

static const char *slice_path(int i)
{
	return path_of("/mnt/large%d", i);
}

/* Large files, then a small one: until when does that wait for the others? */
static void slice_run(int w, int round, void *arg)
{
	const struct null_params params = { blank_mb, true, 0, 64, SLICE_MBPS };
	struct slice *s = arg;
	const struct way *way = &s->table.ways[w];
	long by_pdflush, by_flusher;
	struct io first, clean;
	struct device dev;
	double start, sum;
	const char *path;
	int large[SLICE_FILES], fd, i, j;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	mount_blank(&dev, "commit=3000");
	for (i = 0; i < SLICE_FILES; i++) {
		path = slice_path(i);
		large[i] = create(path);
		for (j = 0; j < SLICE_MB; j++)
			write_at(large[i], chunk, MB, (off_t)j * MB);
	}
	fd = create("/mnt/small");
	write_at(fd, page, PAGE, 0);
	if (!unwritten(fd))
		problem("%s: the small file is not dirty", way->name);
	first = device_io(&dev);
	by_pdflush = bdi_counter(&dev, "pdflush_pages");
	by_flusher = bdi_counter(&dev, "flusher_pages");
	start = now_ms();
	kick();
	while (unwritten(fd) && now_ms() - start < 60 * 1000)
		sleep_ms(2);
	s->small->value[w][round] = now_ms() - start;
	/* not the lists: ext4 dirties an inode anew when its blocks are written */
	for (i = 0; i < SLICE_FILES; i++)
		while (unwritten(large[i]) && now_ms() - start < 60 * 1000)
			sleep_ms(2);
	s->all->value[w][round] = now_ms() - start;
	if (now_ms() - start >= 60 * 1000)
		problem("%s: not written after a minute", way->name);
	clean = device_io(&dev);
	check_who(way, &dev, by_pdflush, by_flusher);
	s->requests->value[w][round] = clean.requests - first.requests;
	s->size->value[w][round] = (clean.sectors - first.sectors) / 2.0 /
				   (clean.requests - first.requests);
	close(fd);
	sync_mnt();
	sum = 0;
	for (i = 0; i < SLICE_FILES; i++) {
		close(large[i]);
		path = slice_path(i);
		sum += extents(path);
	}
	s->extents_row->value[w][round] = sum;
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void part_slice(void)
{
	const struct null_params params = { blank_mb, true, 0, 64, SLICE_MBPS };
	struct slice s = {
		.table = {
			.title = "4 files of 48 MB, then one of 4 kB, at 100 MB/s",
			.ways = slice_ways, .nr_ways = 5,
		},
	};

	quiet();
	print_raw(&params);
	s.small = add_row(&s.table, "until the small file is written, ms");
	s.all = add_row(&s.table, "until all are, ms");
	s.requests = add_row(&s.table, "write requests");
	s.size = add_row(&s.table, "mean size of these, kB");
	s.extents_row = add_row(&s.table, "extents of the large files");
	take_turns(&s.table, true, slice_run, &s);
	print_table(&s.table);
}

/* ---- part mapped ---- */

#define MAPPED_MB	64
#define MAPPED_MS	4000

/* Here the last number is not a slice but the age of old data, in centiseconds. */
static const struct way mapped_ways[] = {
	{ "F 1 s", false, 0, 2, 8, 100, 0 },
	{ "P 1 s", true, 0, 2, 0, 100, 0 },
	{ "F never", false, 0, 2, 8, 360000, 0 },
	{ "P never", true, 0, 2, 0, 360000, 0 },
};

struct mapped {
	struct table	table;
	struct row	*stores, *written, *unmap, *left;
};

/*
 * A mapped file that is changed all the time, at random: what periodic writeback
 * costs it, and what the last unmap leaves behind.
 */
static void mapped_run(int w, int round, void *arg)
{
	const struct null_params params = { blank_mb, true, 0, 64, 0 };
	struct mapped *m = arg;
	struct way way = m->table.ways[w];
	int age = way.slice, fd, i;
	unsigned int state = 1;
	unsigned long stores = 0;
	struct io first, last;
	struct device dev;
	double start;
	char *map;

	way.slice = 0;
	null_create(&dev, "one", &params);
	choose(&way, &dev, 1);
	mount_blank(&dev, "commit=3000");
	fd = create("/mnt/large");
	for (i = 0; i < MAPPED_MB; i++)
		write_at(fd, chunk, MB, (off_t)i * MB);
	sync_mnt();
	map = mmap(NULL, MAPPED_MB * MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("mmap");
	limits(1000, 1500, age);
	set_interval(50);
	first = device_io(&dev);
	start = now_ms();
	while (now_ms() - start < MAPPED_MS) {
		for (i = 0; i < 100; i++)
			map[(size_t)PAGE * (next_random(&state) % (MAPPED_MB * MB / PAGE))]++;
		stores += i;
	}
	last = device_io(&dev);
	m->stores->value[w][round] = stores / (MAPPED_MS / 1000.0);
	m->written->value[w][round] = (last.sectors - first.sectors) / 2048.0;
	start = now_ms();
	if (munmap(map, MAPPED_MB * MB))
		fail("munmap");
	m->unmap->value[w][round] = now_ms() - start;
	m->left->value[w][round] = unwritten(fd) * PAGE / MB;
	close(fd);
	quiet();
	sync_mnt();
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void part_mapped(void)
{
	struct mapped m = {
		.table = {
			.title = "a mapped file of 64 MB, random stores for 4 s; data is old after",
			.ways = mapped_ways, .nr_ways = 4,
		},
	};

	quiet();
	m.stores = add_row(&m.table, "stores per second");
	m.written = add_row(&m.table, "MB written meanwhile");
	m.unmap = add_row(&m.table, "munmap, ms");
	m.left = add_row(&m.table, "MB not written at the unmap");
	take_turns(&m.table, true, mapped_run, &m);
	print_table(&m.table);
}

/* ---- part stream ---- */

#define STREAM_MB	160
#define STREAM_MBPS	64

struct stream {
	struct table	table;
	struct row	*all, *longest, *p99, *requests, *size, *extents_row;
};

static void stream_run(int w, int round, void *arg)
{
	struct stream *s = arg;
	const struct way *way = &s->table.ways[w];
	const struct null_params params = { blank_mb, true, 0, 64, STREAM_MBPS };
	static double took[STREAM_MB * MB / CHUNK];
	const int nr = STREAM_MB * MB / CHUNK;
	long by_pdflush, by_flusher;
	struct io first, clean;
	struct device dev;
	double start, t;
	int fd, i;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	mount_blank(&dev, "commit=3000");
	sync_mnt();
	first = device_io(&dev);
	by_pdflush = bdi_counter(&dev, "pdflush_pages");
	by_flusher = bdi_counter(&dev, "flusher_pages");
	limits(16, 48, 3000);
	fd = create("/mnt/large");
	start = now_ms();
	for (i = 0; i < nr; i++) {
		t = now_ms();
		write_at(fd, chunk, CHUNK, (off_t)i * CHUNK);
		took[i] = now_ms() - t;
	}
	close(fd);
	kick();
	wait_clean(&dev, 1, 20);
	s->all->value[w][round] = now_ms() - start;
	check_who(way, &dev, by_pdflush, by_flusher);
	clean = device_io(&dev);
	quiet();
	qsort(took, nr, sizeof(*took), compare);
	s->longest->value[w][round] = took[nr - 1];
	s->p99->value[w][round] = took[nr * 99 / 100];
	s->requests->value[w][round] = clean.requests - first.requests;
	s->size->value[w][round] = (clean.sectors - first.sectors) / 2.0 /
				   (clean.requests - first.requests);
	sync_mnt();
	s->extents_row->value[w][round] = large_extents();
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void part_stream(void)
{
	const struct null_params params = { blank_mb, true, 0, 64, STREAM_MBPS };
	struct stream s = {
		.table = {
			.title = "160 MB to a device of 64 MB/s, 48 MB of dirty data allowed",
			.ways = F_AND_P, .nr_ways = 2,
		},
	};

	quiet();
	print_raw(&params);
	s.all = add_row(&s.table, "time until all is written, ms");
	s.longest = add_row(&s.table, "longest write(2) of 64 kB, ms");
	s.p99 = add_row(&s.table, "99 of 100 writes are within, ms");
	s.requests = add_row(&s.table, "write requests");
	s.size = add_row(&s.table, "mean size, kB");
	s.extents_row = add_row(&s.table, "extents");
	take_turns(&s.table, true, stream_run, &s);
	print_table(&s.table);
}

/* ---- many devices ---- */

static struct device devices[MAX_DEVICES];
static int device_fds[MAX_DEVICES];

static void create_devices(int nr, const struct null_params *params)
{
	char name[16];
	int i;

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		null_create(&devices[i], name, params);
		device_fds[i] = open_device(&devices[i], O_RDWR);
	}
}

static void destroy_devices(int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		close(device_fds[i]);
		null_destroy(&devices[i]);
	}
}

/* Pages that no request can join */
static void dirty_pages(int i, int pages)
{
	int p;

	for (p = 0; p < pages; p++)
		write_at(device_fds[i], page, PAGE, (off_t)p * CHUNK);
}

static double sum_counter(int nr, const char *name)
{
	double sum = 0;
	int i;

	for (i = 0; i < nr; i++)
		sum += bdi_counter(&devices[i], name);
	return sum;
}

/* ---- part wakeups ---- */

#define TICK_CS		200	/* the interval */
#define TICKS		3	/* how many are watched */

struct wakeups {
	struct table	table;
	int		dirty;
	bool		spread;
	struct row	*timers, *jiffies, *rounds, *woken, *all;

	/* of this round */
	double		nr_timers, nr_jiffies, nr_woken, nr_all;
	unsigned long	last_jiffy;
	unsigned long	delayed[MAX_CPUS];	/* jiffy of a delayed work */
};

static void wakeups_timer(struct wakeups *u, unsigned long jiffy)
{
	u->nr_timers++;
	if (jiffy != u->last_jiffy)
		u->nr_jiffies++;
	u->last_jiffy = jiffy;
}

static void wakeups_seen(const struct event *e, void *arg)
{
	struct wakeups *u = arg;
	unsigned long jiffy;
	const char *now;

	if (!strcmp(e->name, "sched_wakeup")) {
		if (strstr(e->text, "comm=pdflush/") ||
		    strstr(e->text, "comm=kworker/u"))
			u->nr_woken++;
	} else if (!strcmp(e->name, "workqueue_queue_work")) {
		/* whose the delayed work was, its timer did not say */
		if (u->delayed[e->cpu] && strstr(e->text, "workqueue=writeback "))
			wakeups_timer(u, u->delayed[e->cpu]);
		u->delayed[e->cpu] = 0;
	} else if (!strcmp(e->name, "timer_expire_entry")) {
		u->nr_all++;
		now = strstr(e->text, "now=");
		jiffy = now ? strtoul(now + 4, NULL, 10) : 0;
		u->delayed[e->cpu] = 0;
		if (strstr(e->text, "function=delayed_work_timer_fn"))
			u->delayed[e->cpu] = jiffy;
		else if (strstr(e->text, "function=wb_timer_fn") ||
			 strstr(e->text, "function=pdflush_timer_fn"))
			wakeups_timer(u, jiffy);
	}
}

static void wakeups_run(int w, int round, void *arg)
{
	static const char *const events[] = {
		"timer/timer_expire_entry", "workqueue/workqueue_queue_work",
		"sched/sched_wakeup", NULL
	};
	struct wakeups *u = arg;
	double rounds_before;
	int i;

	choose(&u->table.ways[w], devices, MAX_DEVICES);
	set_interval(TICK_CS);
	for (i = 0; i < u->dirty; i++) {
		dirty_pages(i, 1);
		if (u->spread)
			sleep_ms(TICK_CS * 10.0 / u->dirty);
	}
	/* half-way between two ticks of what was dirtied at once */
	sleep_ms(TICK_CS * 15);
	u->nr_timers = 0;
	u->nr_jiffies = 0;
	u->nr_woken = 0;
	u->nr_all = 0;
	rounds_before = sum_counter(MAX_DEVICES, "pdflush_rounds") +
			sum_counter(MAX_DEVICES, "flusher_rounds");
	trace_on(events);
	sleep_ms(TICKS * TICK_CS * 10);
	trace_off(wakeups_seen, u);
	u->rounds->value[w][round] = (sum_counter(MAX_DEVICES, "pdflush_rounds") +
				      sum_counter(MAX_DEVICES, "flusher_rounds") -
				      rounds_before) / TICKS;
	u->timers->value[w][round] = u->nr_timers / TICKS;
	u->jiffies->value[w][round] = u->nr_jiffies / TICKS;
	u->woken->value[w][round] = u->nr_woken / TICKS;
	u->all->value[w][round] = u->nr_all / TICKS;
	kick();
	wait_clean(devices, MAX_DEVICES, 10);
}

static void wakeups(const char *title, int dirty, bool spread)
{
	struct wakeups u = {
		.table = { .title = title, .ways = F_AND_P, .nr_ways = 2 },
		.dirty = dirty, .spread = spread,
	};

	u.timers = add_row(&u.table, "timers of writeback that expire");
	u.jiffies = add_row(&u.table, "jiffies (10 ms) in which one does");
	u.rounds = add_row(&u.table, "rounds of writeback");
	u.woken = add_row(&u.table, "wake-ups of kworkers, pdflush");
	u.all = add_row(&u.table, "timers of the whole system");
	take_turns(&u.table, false, wakeups_run, &u);
	print_table(&u.table);
}

static void part_wakeups(void)
{
	const struct null_params params = { 64, false, 0, 64, 0 };

	quiet();
	create_devices(MAX_DEVICES, &params);
	wakeups("64 devices dirtied over an interval, per interval of 2 s", 64, true);
	wakeups("64 devices dirtied at once, per interval of 2 s", 64, false);
	wakeups("64 clean devices, per interval of 2 s", 0, false);
	destroy_devices(MAX_DEVICES);
}

/* ---- part hung ---- */

#define HANG_MS		6000

static const struct way hung_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "F max_active=2", false, 2, 2, 8, 0, 0 },
	{ "F max_active=1", false, 1, 2, 8, 0, 0 },
	{ "P", true, 0, 2, 0, 0, 0 },
	{ "P max=2", true, 0, 2, 2, 0, 0 },
};

struct hung {
	struct table	table;
	struct row	*leave, *handoffs;
};

static void hung_run(int w, int round, void *arg)
{
	struct hung *h = arg;
	const struct way *way = &h->table.ways[w];
	int stuck = way->max_active == 1 ? 1 : 2;
	double start;
	long handoffs;

	choose(way, devices, 3);
	limits(1000, 1500, 100);
	set_interval(100);
	/* the first request takes the only place, the writer waits for it */
	dirty_pages(0, 2);
	dirty_pages(1, 2);
	start = now_ms();
	while (!!(wb_state(&devices[0]) & WB_WRITEBACK_RUNNING) +
	       !!(wb_state(&devices[1]) & WB_WRITEBACK_RUNNING) < stuck) {
		if (now_ms() - start > 5000) {
			problem("%s: nobody is stuck", way->name);
			break;
		}
		sleep_ms(10);
	}
	handoffs = pool_counter("handoffs");
	start = now_ms();
	dirty_pages(2, 20);
	wait_clean(&devices[2], 1, 5);
	h->leave->value[w][round] = now_ms() - start;
	h->handoffs->value[w][round] = pool_counter("handoffs") - handoffs;
	wait_clean(devices, 3, 50);
	quiet();
}

static void part_hung(void)
{
	const struct null_params slow = { 64, false, HANG_MS, 1, 0 };
	const struct null_params fast = { 64, false, 0, 64, 0 };
	struct hung h = {
		.table = {
			.title = "two devices that answer after 6 s; "
				 "interval and age of old data 1 s",
			.ways = hung_ways, .nr_ways = 5,
		},
	};

	quiet();
	create_devices(2, &slow);
	null_create(&devices[2], "healthy", &fast);
	device_fds[2] = open_device(&devices[2], O_RDWR);
	h.leave = add_row(&h.table, "data of the third is old and gone, ms");
	h.handoffs = add_row(&h.table, "hand-offs to the flusher");
	take_turns(&h.table, false, hung_run, &h);
	print_table(&h.table);
}

/* ---- parts threads and burst ---- */

static const struct way threads_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "F max_active=8", false, 8, 2, 8, 0, 0 },
	{ "P", true, 0, 2, 0, 0, 0 },
	{ "P max=8", true, 0, 2, 8, 0, 0 },
	{ "P max=32", true, 0, 2, 32, 0, 0 },
};

static const struct way burst_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P", true, 0, 2, 0, 0, 0 },
	{ "P min=max=8", true, 0, 8, 8, 0, 0 },
};

#define MAX_BUSY	256

struct threads {
	struct table	table;
	int		nr;
	int		pages;
	bool		rest;
	struct row	*time, *writers, *pool, *handoffs, *created, *rescued;

	/* of this round */
	struct span	span;
	int		busy[MAX_BUSY], nr_busy, nr_pool, max_busy, max_pool;
	int		nr_rescues;
};

/* Between its writeback_start and its writeback_pages_written a thread writes. */
static void threads_seen(const struct event *e, void *arg)
{
	struct threads *t = arg;
	bool pool = !strncmp(e->comm, "pdflush/", 8);
	int i;

	span_seen(e, &t->span);
	for (i = 0; i < t->nr_busy && t->busy[i] != e->pid; i++)
		;
	if (!strcmp(e->name, "writeback_start") && i == t->nr_busy &&
	    t->nr_busy < MAX_BUSY) {
		t->busy[t->nr_busy++] = e->pid;
		t->nr_pool += pool;
	}
	if (!strcmp(e->name, "writeback_pages_written") &&
	    !strncmp(e->comm, "kworker/R-", 10))
		t->nr_rescues++;
	if (!strcmp(e->name, "writeback_pages_written") && i < t->nr_busy) {
		t->busy[i] = t->busy[--t->nr_busy];
		t->nr_pool -= pool;
	}
	if (t->nr_busy > t->max_busy)
		t->max_busy = t->nr_busy;
	if (t->nr_pool > t->max_pool)
		t->max_pool = t->nr_pool;
}

/*
 * The rescuer of bdi_wq writes what it finds without taking note of a kick for
 * all data: the next such kick is then ignored until a periodic round comes.
 * Returns how many devices were left so, and brings that round.
 */
static int after_rescue(int nr)
{
	int i, rescued = 0;

	for (i = 0; i < nr; i++) {
		if (!(wb_state(&devices[i]) & WB_START_ALL))
			continue;
		if (!rescued++)
			set_interval(1);
		dirty_pages(i, 1);
		while (wb_state(&devices[i]) & WB_START_ALL)
			sleep_ms(10);
		wait_clean(&devices[i], 1, 10);
	}
	if (rescued)
		kick();
	return rescued;
}

static void threads_run(int w, int round, void *arg)
{
	static const char *const events[] = {
		"writeback/writeback_start", "writeback/writeback_pages_written",
		"block/block_rq_complete", NULL
	};
	struct threads *t = arg;
	const struct way *way = &t->table.ways[w];
	double start, by_pdflush, by_flusher;
	long handoffs, created;
	int i;

	choose(way, devices, t->nr);
	start = now_ms();
	/* those of before may stay, unless a pause is what is measured */
	while (way->pdflush &&
	       (get_number(VM "nr_pdflush_threads") < way->min ||
		(t->rest && get_number(VM "nr_pdflush_threads") > way->min))) {
		if (now_ms() - start > 30000) {
			problem("%s: threads do not get to the minimum", way->name);
			break;
		}
		sleep_ms(100);
	}
	for (i = 0; i < t->nr; i++)
		dirty_pages(i, t->pages);
	by_pdflush = sum_counter(t->nr, "pdflush_pages");
	by_flusher = sum_counter(t->nr, "flusher_pages");
	handoffs = pool_counter("handoffs");
	created = pool_counter("created");
	t->nr_busy = 0;
	t->nr_pool = 0;
	t->max_busy = 0;
	t->max_pool = 0;
	t->nr_rescues = 0;
	trace_on(events);
	marked_kick();
	wait_clean(devices, t->nr, 20);
	trace_off(threads_seen, t);
	t->time->value[w][round] = t->span.last - t->span.kicked;
	t->writers->value[w][round] = t->max_busy;
	t->pool->value[w][round] = t->max_pool;
	handoffs = pool_counter("handoffs") - handoffs;
	t->handoffs->value[w][round] = handoffs;
	t->created->value[w][round] = pool_counter("created") - created;
	by_pdflush = sum_counter(t->nr, "pdflush_pages") - by_pdflush;
	by_flusher = sum_counter(t->nr, "flusher_pages") - by_flusher;
	t->rescued->value[w][round] = t->nr_rescues;
	if (after_rescue(t->nr) > t->nr_rescues)
		problem("%s: kicks are left over, and not by the rescuer", way->name);
	/* who was handed off is the flusher's */
	if (way->pdflush ? !by_pdflush || (by_flusher && !handoffs) : by_pdflush || !by_flusher)
		problem("%s: pdflush wrote %.0f pages, the flusher %.0f",
			way->name, by_pdflush, by_flusher);
}

static void threads(const char *title, const struct way *ways, int nr_ways,
		    int nr, int pages, bool rest)
{
	struct threads t = {
		.table = { .title = title, .ways = ways, .nr_ways = nr_ways },
		.nr = nr, .pages = pages, .rest = rest,
	};

	t.time = add_row(&t.table, "until the last is written, ms");
	t.writers = add_row(&t.table, "threads that write at once");
	t.pool = add_row(&t.table, "of these pdflush's");
	t.handoffs = add_row(&t.table, "hand-offs to the flusher");
	t.created = add_row(&t.table, "pool threads that were created");
	t.rescued = add_row(&t.table, "rounds of the rescuer");
	take_turns(&t.table, true, threads_run, &t);
	print_table(&t.table);
}

static void part_threads(void)
{
	const struct null_params fast = { 64, false, 0, 64, 0 };
	const struct null_params slow = { 64, false, 10, 1, 0 };

	quiet();
	create_devices(64, &fast);
	threads("64 fast devices, 20 pages each", threads_ways, 5, 64, 20, false);
	destroy_devices(64);
	create_devices(64, &slow);
	threads("64 devices of 10 ms for a request, one at a time, 20 pages each",
		threads_ways, 5, 64, 20, false);
	destroy_devices(64);
}

static void part_burst(void)
{
	const struct null_params slow = { 64, false, 10, 1, 0 };

	quiet();
	create_devices(8, &slow);
	threads("8 devices of 10 ms for a request, one at a time, 20 pages each, after a pause",
		burst_ways, 3, 8, 20, true);
	destroy_devices(8);
}

/* ---- part switch ---- */

#define SWITCHES	100

static const struct way switch_ways[] = {
	{ "no switches", true, 0, 2, 8, 0, 0 },
	{ "200 switches", true, 0, 2, 8, 0, 0 },
};

struct writer {
	int		fd;
	volatile bool	stop;
	double		longest;
	double		written;
};

static void *writer_thread(void *arg)
{
	struct writer *writer = arg;
	unsigned int state = 1;
	double t;

	while (!writer->stop) {
		t = now_ms();
		write_at(writer->fd, chunk, CHUNK, (off_t)CHUNK *
			 (next_random(&state) % (LARGE_MB * MB / CHUNK)));
		writer->longest = fmax(writer->longest, now_ms() - t);
		writer->written++;
	}
	return NULL;
}

struct switching {
	struct table	table;
	struct device	dev;
	struct row	*on, *on_max, *off, *off_max, *longest, *rate;
};

static double timed_switch(const struct device *dev, int on)
{
	double start = now_ms();
	const char *path;

	path = path_of("/sys/class/bdi/%s/pdflush", dev->bdi);
	put(path, "%d\n", on);
	return now_ms() - start;
}

static double middle(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

static void switch_run(int w, int round, void *arg)
{
	struct switching *s = arg;
	struct writer writer = { .stop = false };
	double on[SWITCHES], off[SWITCHES], start;
	pthread_t thread;
	int i;

	choose(&s->table.ways[w], &s->dev, 1);
	writer.fd = create("/mnt/large");
	if (pthread_create(&thread, NULL, writer_thread, &writer))
		fail("thread");
	sleep_ms(300);
	writer.longest = 0;
	writer.written = 0;
	start = now_ms();
	for (i = 0; i < SWITCHES; i++) {
		/* without a switch the same calls, to the same value */
		off[i] = timed_switch(&s->dev, w ? 0 : 1);
		sleep_ms(7);
		on[i] = timed_switch(&s->dev, 1);
		sleep_ms(7);
	}
	s->rate->value[w][round] = writer.written * CHUNK / MB /
				   ((now_ms() - start) / 1e3);
	s->longest->value[w][round] = writer.longest;
	writer.stop = true;
	pthread_join(thread, NULL);
	close(writer.fd);
	s->off->value[w][round] = middle(off, SWITCHES);
	s->off_max->value[w][round] = off[SWITCHES - 1];
	s->on->value[w][round] = middle(on, SWITCHES);
	s->on_max->value[w][round] = on[SWITCHES - 1];
	sync_mnt();
}

static void part_switch(void)
{
	struct switching s = {
		.table = {
			.title = "a device of 64 MB/s with a writer, ext4, "
				 "32 MB of dirty data allowed",
			.ways = switch_ways, .nr_ways = 2,
		},
	};
	const struct null_params params = { blank_mb, true, 0, 64, STREAM_MBPS };
	struct io before, after;
	int i;

	quiet();
	null_create(&s.dev, "one", &params);
	mount_blank(&s.dev, "commit=3000");
	dirty_large();
	sync_mnt();
	limits(8, 32, 3000);
	s.off = add_row(&s.table, "echo 0, median, ms");
	s.off_max = add_row(&s.table, "echo 0, longest, ms");
	s.on = add_row(&s.table, "echo 1, median, ms");
	s.on_max = add_row(&s.table, "echo 1, longest, ms");
	s.longest = add_row(&s.table, "the writer's longest write(2), ms");
	s.rate = add_row(&s.table, "the writer, MB/s");
	take_turns(&s.table, true, switch_run, &s);
	print_table(&s.table);

	quiet();
	wait_clean(&s.dev, 1, 10);
	dirty_random();
	before = device_io(&s.dev);
	for (i = 0; i < SWITCHES; i++) {
		timed_switch(&s.dev, 0);
		timed_switch(&s.dev, 1);
	}
	after = device_io(&s.dev);
	printf("  48 MB dirty and nothing due, 200 switches: %lu requests were written\n",
	       after.requests - before.requests);
	if (umount("/mnt"))
		fail("umount");
}

/* ---- part off: runs on a kernel without the option, too ---- */

#define OFF_BATCHES	200
#define OFF_LOOPS	50

/*
 * A page is dirtied and syncfs() has the flusher write it.  Of many small
 * batches the median and the quickest: what the host does meanwhile is in few.
 */
static void part_off(void)
{
	const struct null_params params = { blank_mb, true, 0, 64, 0 };
	static double batch[OFF_BATCHES];
	struct device dev;
	double start;
	int fd, i, b;

	limits(1000, 1500, 360000);
	null_create(&dev, "one", &params);
	mount_blank(&dev, NULL);
	fd = create("/mnt/file");
	for (b = 0; b < OFF_BATCHES; b++) {
		start = now_ms();
		for (i = 0; i < OFF_LOOPS; i++) {
			write_at(fd, page, PAGE, 0);
			if (syncfs(fd))
				fail("syncfs");
		}
		batch[b] = (now_ms() - start) * 1e3 / OFF_LOOPS;
	}
	qsort(batch, OFF_BATCHES, sizeof(*batch), compare);
	printf("off: %.2f %.2f\n", batch[OFF_BATCHES / 2], batch[0]);
}

/* ---- */

#include "measure-parallel.c"

static void mount_all(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("configfs", "/sys/kernel/config", "configfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
}

static const struct {
	const char	*name;
	void		(*run)(void);
} parts[] = {
	{ "locality",	part_locality },
	{ "slice",	part_slice },
	{ "mapped",	part_mapped },
	{ "stream",	part_stream },
	{ "wakeups",	part_wakeups },
	{ "hung",	part_hung },
	{ "threads",	part_threads },
	{ "burst",	part_burst },
	{ "switch",	part_switch },
	{ "off",	part_off },
	{ "parallel",	part_parallel },
};

int main(void)
{
	const char *part = getenv("part"), *nr = getenv("rounds");
	struct termios tty;
	size_t i;
	int fd;

	mount_all();
	fd = open("/dev/tty1", O_WRONLY | O_NOCTTY);
	if (fd < 0)
		end();
	dup2(fd, STDOUT_FILENO);
	/* no carriage returns */
	if (!tcgetattr(fd, &tty)) {
		tty.c_oflag &= ~OPOST;
		tcsetattr(fd, TCSANOW, &tty);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rounds = nr ? atoi(nr) : 0;
	if (!part || rounds < 1 || rounds > MAX_ROUNDS) {
		problem("needs part= and rounds= up to %d", MAX_ROUNDS);
		end();
	}
	memset(page, 'x', sizeof(page));
	memset(chunk, 'x', sizeof(chunk));
	for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (strcmp(part, parts[i].name))
			continue;
		default_max_active = get_number(MAX_ACTIVE);
		printf("# %s, %ld CPUs, max_active %ld\n", part,
		       sysconf(_SC_NPROCESSORS_ONLN), default_max_active);
		if (strcmp(part, "parallel")) {
			read_blank(&blanks[0]);
			blank_mb = blanks[0].mb;
		}
		parts[i].run();
		puts("guest: finished");
		end();
	}
	problem("no part %s", part);
	end();
}
