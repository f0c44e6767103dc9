// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for the shell scripts in the guest.
 *
 *   vmtool clean BDI SECONDS [BUSY]
 *                               wait until the device is clean, at most SECONDS,
 *                               from when the file BUSY is gone
 *   vmtool flip FILE COUNT MS   write 0, 1, 0, 1, ... to FILE, COUNT times
 *   vmtool syncfs PATH          syncfs(2)
 *   vmtool fsync FILE           fsync(2)
 *   vmtool scribble FILE KB NAME
 *                               write NAME repeatedly, KB in total
 *   vmtool holds FILE KB NAME   does FILE contain exactly that?
 *   vmtool pack FROM TO         the non-zero blocks of an image (on the host)
 *   vmtool unpack FROM TO       write a packed image to a new disk
 *   vmtool copy FROM TO SKIP    copy a disk to a new one, without the first SKIP MB
 *   vmtool partition DISK MB    create partition 1, starting at MB
 *   vmtool extent FILE          print its first extent: "SECTOR LENGTH"
 *   vmtool superblock DISK MB TYPE
 *                               print what use changes in the superblock MB from
 *                               the start: free inodes (ext2), last mount point
 *                               (ext4), free clusters (vfat, FAT32), used inodes
 *                               (xfs)
 *   vmtool errors FILE WROTE GO overwrite FILE (through a mapping if it is a hole),
 *                               create WROTE, wait for GO, and print twice what six
 *                               descriptors report: two by fsync(2), one by
 *                               msync(2), one by sync_file_range(2), two by
 *                               syncfs(2); then fsync(2) and syncfs(2) of one
 *                               opened afterwards
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

/* The kernel's per-CPU page counts may be off by this much; lists are exact. */
#define NOISE_KB 256

static int clean(const char *stats)
{
	return number(stats, "BdiReclaimable") <= NOISE_KB &&
	       number(stats, "BdiWriteback") <= NOISE_KB &&
	       number(stats, "b_dirty") == 0 && number(stats, "b_io") == 0 &&
	       number(stats, "b_more_io") == 0;
}

/* Prints "clean after N ms" or "not clean after N ms". */
static int await_clean(const char *bdi, long limit, const char *busy)
{
	char stats[128];
	long idle = now_ms(), t;
	int done;

	snprintf(stats, sizeof(stats), DEBUGFS "bdi/%s/stats", bdi);
	if (number(stats, "BdiReclaimable") < 0) {
		fprintf(stderr, "vmtool: cannot read %s\n", stats);
		return 2;
	}
	for (;;) {
		t = now_ms();
		if (busy && access(busy, F_OK) == 0)
			idle = t;
		done = idle != t && clean(stats);
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

#define MB (1024 * 1024)
#define BLOCK 4096	/* granularity of zero detection */

static int failed(const char *what)
{
	fprintf(stderr, "vmtool: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Fills BUF, less at the end of the file; returns the number of bytes or -1. */
static ssize_t read_full(int fd, char *buf, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, buf + got, size - got);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

static int is_zero(const char *block)
{
	return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

static int write_full(int fd, const void *buf, size_t size)
{
	return write(fd, buf, size) == (ssize_t)size ? 0 : 1;
}

/* In a packed image, before the data at this position */
struct run {
	unsigned long long pos, size;
};

/* Non-zero data, written in place or as runs. */
static int write_runs(int fd, const char *buf, size_t size, off_t pos, int pack)
{
	size_t begin, end;

	for (begin = 0; begin < size; begin = end + BLOCK) {
		for (end = begin; end < size && !is_zero(buf + end);)
			end += BLOCK;
		struct run run = { .pos = pos + begin, .size = end - begin };

		if (run.size == 0)
			continue;
		if (pack ? write_full(fd, &run, sizeof(run)) ||
			   write_full(fd, buf + begin, run.size) :
			   pwrite(fd, buf + begin, run.size, run.pos) !=
			   (ssize_t)run.size)
			return 1;
	}
	return 0;
}

static char *aligned_buffer(void)
{
	void *buf;

	if (posix_memalign(&buf, BLOCK, MB) != 0)
		exit(1);
	return buf;
}

/* Disks are read with O_DIRECT. */
static int copy(const char *from, const char *to, long skip, int pack)
{
	int in = open(from, O_RDONLY | (pack ? 0 : O_DIRECT));
	int out = open(to, O_WRONLY | (pack ? O_CREAT : O_DIRECT), 0666);
	char *buf = aligned_buffer();
	off_t pos = 0;
	ssize_t n;

	if (in < 0 || lseek(in, skip * MB, SEEK_SET) < 0)
		return failed(from);
	if (out < 0)
		return failed(to);
	while ((n = read_full(in, buf, MB)) > 0) {
		if (n % BLOCK != 0) {
			errno = EINVAL;
			return failed(from);
		}
		if (write_runs(out, buf, n, pos, pack) != 0)
			return failed(to);
		pos += n;
	}
	return n < 0 ? failed(from) : 0;
}

static int unpack(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_DIRECT);
	char *buf = aligned_buffer();
	struct run run;

	if (in < 0)
		return failed(from);
	if (out < 0)
		return failed(to);
	while (read_full(in, (char *)&run, sizeof(run)) == sizeof(run)) {
		if (run.size > MB ||
		    read_full(in, buf, run.size) != (ssize_t)run.size)
			return failed(from);
		if (pwrite(out, buf, run.size, run.pos) != (ssize_t)run.size)
			return failed(to);
	}
	return 0;
}

/* Writes or compares KB of repeated NAME and newline. */
static int pattern(const char *path, long kb, const char *name, int compare)
{
	static char want[64 * 1024], got[64 * 1024];
	int fd = open(path, compare ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0666);
	size_t len = strlen(name), i, size, at = 0;
	long left;

	if (fd < 0)
		return failed(path);
	for (left = kb * 1024; left > 0; left -= size) {
		size = left < (long)sizeof(want) ? (size_t)left : sizeof(want);
		for (i = 0; i < size; i++, at = at == len ? 0 : at + 1)
			want[i] = at == len ? '\n' : name[at];
		if (!compare) {
			if (write_full(fd, want, size) != 0)
				return failed(path);
		} else if (read_full(fd, got, size) != (ssize_t)size ||
			   memcmp(got, want, size) != 0) {
			return 1;
		}
	}
	return compare && read(fd, got, 1) != 0;
}

static int partition(const char *disk, long start)
{
	int fd = open(disk, O_RDONLY);
	unsigned long long size;
	struct blkpg_partition part = { .pno = 1, .start = start * MB };
	struct blkpg_ioctl_arg arg = {
		.op = BLKPG_ADD_PARTITION,
		.datalen = sizeof(part),
		.data = &part,
	};

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) != 0)
		return failed(disk);
	part.length = size - part.start;
	return ioctl(fd, BLKPG, &arg) == 0 ? 0 : failed(disk);
}

static int extent(const char *path)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} arg = { .map = {
		.fm_length = FIEMAP_MAX_OFFSET,
		.fm_extent_count = 1,
	} };
	int fd = open(path, O_RDONLY);

	if (fd < 0 || ioctl(fd, FS_IOC_FIEMAP, &arg) != 0)
		return failed(path);
	if (arg.map.fm_mapped_extents != 1 ||
	    arg.extent.fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_UNWRITTEN)) {
		errno = ENODATA;
		return failed(path);
	}
	printf("%llu %llu\n", (unsigned long long)arg.extent.fe_physical / 512,
	       (unsigned long long)arg.extent.fe_length / 512);
	return 0;
}

static int superblock(const char *disk, long mb, const char *type)
{
	int fd = open(disk, O_RDONLY | O_DIRECT);
	char *buf = aligned_buffer();
	uint64_t inodes[2];
	uint32_t clusters, inodes_left;

	/* not from the page cache */
	if (fd < 0 || pread(fd, buf, BLOCK, mb * MB) != BLOCK)
		return failed(disk);
	if (strcmp(type, "vfat") == 0) {
		/* in the second sector */
		memcpy(&clusters, buf + 512 + 488, sizeof(clusters));
		printf("%u\n", le32toh(clusters));
	} else if (strcmp(type, "xfs") == 0) {
		/* allocated, and free of these */
		memcpy(inodes, buf + 128, sizeof(inodes));
		printf("%llu\n", (unsigned long long)(be64toh(inodes[0]) - be64toh(inodes[1])));
	} else if (strcmp(type, "ext2") == 0) {
		memcpy(&inodes_left, buf + 1024 + 16, sizeof(inodes_left));
		printf("%u\n", le32toh(inodes_left));
	} else {
		printf("%.64s\n", buf + 1024 + 136);
	}
	return 0;
}

static const char *result(int ret)
{
	if (ret == 0)
		return "0";
	if (errno == EIO)
		return "EIO";
	return errno == ENOSPC ? "ENOSPC" : strerror(errno);
}

static int open_rw(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		exit(failed(path));
	return fd;
}

/* The first four of six descriptors are for the file, the others for its filesystem. */
static void print_errors(const int *fds, void *mapped)
{
	printf("%s ", result(fsync(fds[0])));
	printf("%s ", result(fsync(fds[1])));
	printf("%s ", result(msync(mapped, BLOCK, MS_SYNC)));
	printf("%s ", result(sync_file_range(fds[3], 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE)));
	printf("%s ", result(syncfs(fds[4])));
	printf("%s ", result(syncfs(fds[5])));
}

static int errors(const char *path, const char *wrote, const char *go)
{
	static char buf[64 * 1024];
	struct stat st;
	int fds[6], i;
	void *mapped;

	for (i = 0; i < 6; i++)
		fds[i] = open_rw(path);
	mapped = mmap(NULL, sizeof(buf), PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	memset(buf, 'e', sizeof(buf));
	if (mapped == MAP_FAILED || fstat(fds[0], &st) != 0)
		return failed(path);
	if (st.st_blocks == 0)
		memset(mapped, 'e', st.st_size);
	else if (pwrite(fds[0], buf, sizeof(buf), 0) != sizeof(buf))
		return failed(path);
	close(open(wrote, O_WRONLY | O_CREAT, 0600));
	while (access(go, F_OK) != 0)
		usleep(50 * 1000);
	print_errors(fds, mapped);
	print_errors(fds, mapped);
	i = open_rw(path);
	printf("%s ", result(fsync(i)));
	puts(result(syncfs(i)));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if ((argc == 4 || argc == 5) && strcmp(what, "clean") == 0)
		return await_clean(argv[2], atol(argv[3]), argv[4]);
	if (argc == 5 && strcmp(what, "flip") == 0)
		return flip(argv[2], atol(argv[3]), atol(argv[4]));
	if (argc == 3 && strcmp(what, "syncfs") == 0)
		return sync_path(argv[2], syncfs);
	if (argc == 3 && strcmp(what, "fsync") == 0)
		return sync_path(argv[2], fsync);
	if (argc == 5 && strcmp(what, "scribble") == 0)
		return pattern(argv[2], atol(argv[3]), argv[4], 0);
	if (argc == 5 && strcmp(what, "holds") == 0)
		return pattern(argv[2], atol(argv[3]), argv[4], 1);
	if (argc == 4 && strcmp(what, "pack") == 0)
		return copy(argv[2], argv[3], 0, 1);
	if (argc == 4 && strcmp(what, "unpack") == 0)
		return unpack(argv[2], argv[3]);
	if (argc == 5 && strcmp(what, "copy") == 0)
		return copy(argv[2], argv[3], atol(argv[4]), 0);
	if (argc == 4 && strcmp(what, "partition") == 0)
		return partition(argv[2], atol(argv[3]));
	if (argc == 3 && strcmp(what, "extent") == 0)
		return extent(argv[2]);
	if (argc == 5 && strcmp(what, "superblock") == 0)
		return superblock(argv[2], atol(argv[3]), argv[4]);
	if (argc == 5 && strcmp(what, "errors") == 0)
		return errors(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: vmtool COMMAND ..., see scripts/guest/vmtool.c\n");
	return 2;
}
