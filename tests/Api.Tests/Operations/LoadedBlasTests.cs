using Gradus.Api.Operations;
using Xunit;

namespace Gradus.Api.Tests.Operations;

public sealed class LoadedBlasTests
{
    [Fact]
    public void TheReferenceBlasIsRefusedWithThePackageToInstall()
    {
        string? file = LoadedBlas.Find(["7f0-7f1 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libtorch_cpu.so.1.13.0", "7f2-7f3 r-xp 00000000 fe:00 2  /usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0"]);
        var error = Assert.Throws<InvalidOperationException>(() => LoadedBlas.RefuseReference(file));
        Assert.Contains("libopenblas0-pthread", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("7f2-7f3 r-xp 00000000 fe:00 2  /usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3")]
    [InlineData("7f2-7f3 r-xp 00000000 fe:00 2  /usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblasp-r0.3.21.so")]
    [InlineData("7f2-7f3 rw-p 00000000 00:00 0 ")]
    public void OthersAreNot(string map) => LoadedBlas.RefuseReference(LoadedBlas.Find([map]));
}
