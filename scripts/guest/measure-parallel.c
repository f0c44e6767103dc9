// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part "parallel" of scripts/measure: several threads on one device.
 * Included by measure.c.
 */

#define PARALLEL_MB	2048	/* of the device: ext4 has one goal below 512 */

static const struct way parallel_ways[] = {
	{ "F", false, 0, 2, 8, 0, 0 },
	{ "P 1 thread", true, 0, 4, 8, 0, 1 },
	{ "P automatic", true, 0, 4, 8, 0, 0 },
	{ "P 2 threads", true, 0, 4, 8, 0, 2 },
	{ "P 4 threads", true, 0, 4, 8, 0, 4 },
};

static const char *parallel_path(const char *name, int i)
{
	return path_of("/mnt/%d/%s", i, name);
}

static void parallel_files(int nr, const char *name, long mb)
{
	int i, fd;
	long at;

	for (i = 0; i < nr; i++) {
		mkdir(path_of("/mnt/%d", i), 0755);
		fd = create(parallel_path(name, i));
		for (at = 0; at < mb; at++)
			write_at(fd, chunk, MB, at * MB);
		close(fd);
	}
}

#define RANDOM_FILES	12
#define RANDOM_MB	24
#define RANDOM_WRITES	12000	/* for each file */

static void random12_before(void)
{
	parallel_files(RANDOM_FILES, "random", RANDOM_MB);
}

static void random12(void)
{
	unsigned int state = 1;
	int i, j, fd;

	for (i = 0; i < RANDOM_FILES; i++) {
		fd = create(parallel_path("random", i));
		for (j = 0; j < RANDOM_WRITES; j++)
			write_at(fd, page, PAGE, (off_t)PAGE *
				 (next_random(&state) % (RANDOM_MB * MB / PAGE)));
		close(fd);
	}
}

static void large8(void)
{
	parallel_files(8, "large", 40);
}

static void one(void)
{
	parallel_files(1, "one", 300);
}

#define PARALLEL_SMALL	4000

static void small16(void)
{
	int i, fd;

	for (i = 0; i < 20; i++)
		mkdir(path_of("/mnt/%d", i), 0755);
	for (i = 0; i < PARALLEL_SMALL; i++) {
		fd = create(small_path(i));
		write_at(fd, chunk, 4 * PAGE, 0);
		close(fd);
	}
}

static unsigned int parallel_extents(void)
{
	unsigned int sum = 0;
	struct stat st;
	int i;

	for (i = 0; i < 12; i++) {
		if (!stat(parallel_path("random", i), &st))
			sum += extents(parallel_path("random", i));
		if (!stat(parallel_path("large", i), &st))
			sum += extents(parallel_path("large", i));
		if (!stat(parallel_path("one", i), &st))
			sum += extents(parallel_path("one", i));
	}
	for (i = 0; i < PARALLEL_SMALL; i += 10)
		if (!stat(small_path(i), &st))
			sum += extents(small_path(i));
	return sum;
}

/* In ms, of all CPUs together: what is not idle. */
static double cpu_ms(void)
{
	unsigned long v[8];
	char text[256];

	get("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &v[0], &v[1],
		   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		fail("/proc/stat");
	return (v[0] + v[1] + v[2] + v[5] + v[6]) * 10.0;
}

struct parallel {
	struct table	table;
	const char	*fs;
	const char	*options;
	double		delay_ms;
	bool		syncfs;		/* instead of a kick */
	void		(*before)(void);
	void		(*dirty)(void);
	struct row	*clean, *cpu, *requests, *extents, *helped, *level;
};

/* Until the device has had nothing to do for 200 ms; when that began. */
static double parallel_quiet(const struct device *dev)
{
	struct io io, last = { 0, 0, 0 };
	double changed = now_ms(), start = changed;

	for (;;) {
		io = device_io(dev);
		if (io.in_flight || io.sectors != last.sectors) {
			changed = now_ms();
			last = io;
		} else if (now_ms() - changed > 200 && is_clean(dev)) {
			return changed;
		}
		if (now_ms() - start > 60 * 1000)
			not_clean(dev);
		sleep_ms(4);
	}
}

static void parallel_run(int w, int round, void *arg)
{
	struct parallel *p = arg;
	const struct way *way = &p->table.ways[w];
	const struct null_params params = { PARALLEL_MB, true, p->delay_ms, 64, 0 };
	struct io first, last;
	struct device dev;
	double start, cpu;

	null_create(&dev, "one", &params);
	choose(way, &dev, 1);
	if (way->pdflush)
		put(path_of("/sys/class/bdi/%s/pdflush_max_threads", dev.bdi),
		    "%d\n", way->threads);
	mount_fs(&dev, p->fs, p->options);
	if (p->before)
		p->before();
	sync_mnt();
	p->dirty();
	first = device_io(&dev);
	cpu = cpu_ms();
	start = now_ms();
	if (p->syncfs) {
		sync_mnt();
		p->clean->value[w][round] = now_ms() - start;
	} else {
		kick();
		p->clean->value[w][round] = parallel_quiet(&dev) - start;
	}
	p->cpu->value[w][round] = cpu_ms() - cpu;
	last = device_io(&dev);
	p->requests->value[w][round] = last.requests - first.requests;
	p->helped->value[w][round] = bdi_counter(&dev, "helped");
	p->level->value[w][round] = bdi_counter(&dev, "helpers");
	sync_mnt();
	p->extents->value[w][round] = parallel_extents();
	if (umount("/mnt"))
		fail("umount");
	null_destroy(&dev);
}

static void parallel(const char *title, const char *fs, const char *options,
		     double delay_ms, bool syncfs, void (*before)(void),
		     void (*dirty)(void))
{
	struct parallel p = {
		.table = { .title = title, .ways = parallel_ways, .nr_ways = 5 },
		.fs = fs, .options = options, .delay_ms = delay_ms,
		.syncfs = syncfs, .before = before, .dirty = dirty,
	};

	p.clean = add_row(&p.table, syncfs ? "syncfs, ms" : "time to clean, ms");
	p.cpu = add_row(&p.table, "CPU time, both, ms");
	p.requests = add_row(&p.table, "write requests");
	p.extents = add_row(&p.table, "extents");
	p.helped = add_row(&p.table, "times that a thread helped");
	p.level = add_row(&p.table, "helpers it came to");
	take_turns(&p.table, true, parallel_run, &p);
	print_table(&p.table);
}

static void part_parallel(void)
{
	const struct null_params params = { PARALLEL_MB, true, 0, 64, 0 };
	const char *only = getenv("only");

	quiet();
	print_raw(&params);
#define P(id, title, ...)						\
	do {								\
		if (!only || !strcmp(only, id))				\
			parallel(title, __VA_ARGS__);			\
	} while (0)
#define EXT4	"ext4", "commit=3000"
#define EXT4_N	"ext4", "commit=3000,nodelalloc"
#define XFS	"xfs", NULL
	P("random", "ext4, 12 files, random 4k", EXT4, 0, false, random12_before, random12);
	P("random", "xfs, the same", XFS, 0, false, random12_before, random12);
	P("large", "ext4, 8 files of 40 MB", EXT4, 0, false, NULL, large8);
	P("large", "xfs, the same", XFS, 0, false, NULL, large8);
	P("one", "ext4, one file of 300 MB", EXT4, 0, false, NULL, one);
	P("small", "xfs, 4000 files of 16 kB", XFS, 0, false, NULL, small16);
	P("small", "ext4, the same", EXT4, 0, false, NULL, small16);
	P("small", "ext4 nodelalloc, the same", EXT4_N, 0, false, NULL, small16);
	P("latency", "ext4, 12 files, random 4k, 0.5 ms a request", EXT4, 0.5, false, random12_before, random12);
	P("latency", "xfs, the same", XFS, 0.5, false, random12_before, random12);
	P("latency", "xfs, 4000 files of 16 kB, 0.5 ms", XFS, 0.5, false, NULL, small16);
	P("latency", "ext4, the same", EXT4, 0.5, false, NULL, small16);
	P("syncfs", "ext4, 12 files, random 4k, syncfs", EXT4, 0, true, random12_before, random12);
	P("syncfs", "xfs, the same", XFS, 0, true, random12_before, random12);
	P("syncfs", "xfs, 4000 files of 16 kB, syncfs", XFS, 0, true, NULL, small16);
	P("syncfs", "ext4, the same", EXT4, 0, true, NULL, small16);
#undef P
}
