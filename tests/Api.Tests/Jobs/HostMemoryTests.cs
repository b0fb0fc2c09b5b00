using Gradus.Api.Jobs;
using Xunit;

namespace Gradus.Api.Tests.Jobs;

public sealed class HostMemoryTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("gradus-host").FullName;

    public HostMemoryTests()
    {
        Write("proc/meminfo", "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\n");
        Write("proc/self/cgroup", "0::/a/b\n");
    }

    [Fact]
    public void A_host_without_limits_has_what_it_says()
    {
        Write("sys/fs/cgroup/a/b/memory.max", "max\n");
        Assert.Equal(new(1_024_000, 614_400), HostMemory.Read(root));
        Assert.Equal(new(0, 0), HostMemory.Read(Path.Combine(root, "nowhere")));
        Assert.InRange(HostMemory.Read().Free, 1, HostMemory.Read().Total);
    }

    [Fact]
    public void The_narrowest_group_above_counts_and_its_cache_is_free()
    {
        Write("sys/fs/cgroup/a/b/memory.max", "900000\n");
        Write("sys/fs/cgroup/a/memory.max", "500000\n");
        Write("sys/fs/cgroup/a/memory.current", "300000\n");
        Write("sys/fs/cgroup/a/memory.stat", "anon 250000\ninactive_file 50000\n");
        Assert.Equal(new(500_000, 250_000), HostMemory.Read(root));
    }

    [Fact]
    public void Groups_of_the_first_version_count_as_well()
    {
        Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n");
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "400000\n");
        Write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "390000\n");
        Write("sys/fs/cgroup/memory/a/memory.stat", "total_inactive_file 10000\n");
        Assert.Equal(new(400_000, 20_000), HostMemory.Read(root));
    }

    public void Dispose() => Directory.Delete(root, recursive: true);

    private void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(root, file))!);
        File.WriteAllText(Path.Combine(root, file), text);
    }
}
