using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class ScopeTests
{
    [Fact]
    public void AScopeEndsWhatWasMadeInIt()
    {
        long before = Tensor.TotalCount;
        Tensor inside, moved, detached, outer;
        using (var outerScope = NewDisposeScope())
        {
            using (var scope = NewDisposeScope())
            {
                inside = ones(2) + ones(2);
                Assert.Equal(3, scope.DisposablesCount);
                moved = scope.MoveToOuter(ones(3));
                detached = ones(4).DetachFromDisposeScope();
                outer = ones(5).MoveToOuterDisposeScope();
                Assert.True(scope.Contains(inside));
                Assert.False(scope.Contains(moved));
            }
            Assert.True(inside.IsInvalid);
            Assert.False(moved.IsInvalid);
            Assert.Equal(2, outerScope.DisposablesCount);
        }
        Assert.True(moved.IsInvalid);
        Assert.True(outer.IsInvalid);
        Assert.False(detached.IsInvalid);
        detached.Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void AnEarlyDisposeLeavesTheOthers()
    {
        using var scope = NewDisposeScope();
        Tensor[] all = Enumerable.Range(0, 10).Select(_ => ones(1)).ToArray();
        all[3].Dispose();
        all[9].Dispose();
        all[0].Dispose();
        Assert.Equal(7, scope.DisposablesCount);
        Assert.All(new[] { 1, 2, 4, 5, 6, 7, 8 }, k => Assert.True(scope.Contains(all[k])));
        scope.DisposeEverythingBut(all[4]);
        Assert.Equal(1, scope.DisposablesCount);
        Assert.False(all[4].IsInvalid);
        Assert.True(all[5].IsInvalid);
    }

    [Fact]
    public void ScopesMayEndOutOfOrder()
    {
        var outer = NewDisposeScope();
        var inner = NewDisposeScope();
        Tensor a = ones(1);
        outer.Dispose();
        Assert.False(a.IsInvalid);
        Tensor b = ones(1);
        Assert.True(inner.Contains(b));
        inner.MoveToOuter(a);
        inner.Dispose();
        Assert.False(a.IsInvalid);
        a.Dispose();
        Tensor c = ones(1);
        inner.Dispose();
        Assert.False(c.IsInvalid);
        c.Dispose();
        Assert.Throws<ObjectDisposedException>(() => inner.DisposablesCount);
    }

    [Fact]
    public void AnExceptionEndsTheScopeToo()
    {
        long before = Tensor.TotalCount;
        Assert.ThrowsAny<Exception>(() =>
        {
            using var scope = NewDisposeScope();
            _ = ones(2).view(3);
        });
        Assert.Equal(before, Tensor.TotalCount);
        using Tensor kept = WrappedTensorDisposeScope(() => ones(2) + 1);
        Assert.Equal(before + 1, Tensor.TotalCount);
    }

    [Fact]
    public void ScopesAndGradModeBelongToTheirThread()
    {
        using var scope = NewDisposeScope();
        using var off = no_grad();
        bool graph = false;
        Tensor? made = null;
        var thread = new Thread(() =>
        {
            graph = is_grad_enabled();
            made = ones(2);
        });
        thread.Start();
        thread.Join();
        Assert.True(graph);
        Assert.False(is_grad_enabled());
        Assert.False(scope.Contains(made!));
        made!.MoveToOtherDisposeScope(scope);
        Assert.True(scope.Contains(made));
    }

    [Fact]
    public void ThreadsComputeSideBySide()
    {
        long before = Tensor.TotalCount;
        var sums = new double[4];
        var threads = Enumerable.Range(0, sums.Length).Select(t => new Thread(() =>
        {
            for (int k = 0; k < 200; k++)
            {
                using var scope = NewDisposeScope();
                Tensor x = full([16, 16], (double)t, requires_grad: true);
                x.matmul(x).sum().backward();
                sums[t] = x.grad!.sum().ToDouble();
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.Equal([0, 8192, 16384, 24576], sums);
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void AThousandTrainingStepsKeepNothing()
    {
        using var w = randn([64, 64], requires_grad: true).DetachFromDisposeScope();
        long resident = 0, count = 0;
        for (int step = 0; step < 1000; step++)
        {
            using (var scope = NewDisposeScope())
            {
                Tensor x = randn(256, 64);
                Tensor loss = nn.functional.silu(x.matmul(w))[TensorIndex.Colon, ..32].softmax(-1).square().mean();
                loss.backward();
                using (no_grad()) w.sub_(w.grad! * 0.1);
                w.grad = null;
            }
            if (step == 99) (resident, count) = (Resident(), Tensor.TotalCount);
            if (step > 99) Assert.Equal(count, Tensor.TotalCount);
        }
        Assert.InRange(Resident() - resident, long.MinValue, 32 << 20);
    }

    [Fact]
    public void TheCollectorFreesWhatNoScopeOwns()
    {
        long before = Tensor.TotalCount;
        Forget();
        for (int k = 0; k < 10 && Tensor.TotalCount > before; k++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.Equal(before, Tensor.TotalCount);
        Assert.True(Tensor.PeakCount >= before + 50);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Forget()
    {
        for (int k = 0; k < 50; k++) _ = ones(2).DetachFromDisposeScope();
    }

    /// <summary>Bytes of this process in memory.</summary>
    private static long Resident() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
}
