using BenchmarkDotNet.Attributes;
using static TorchSharp.torch;

namespace Gradus.Kernels;

/// <summary>The operators that a training step spends its time in, at 64 rows of 64 tokens and width 256; forward and backward together.</summary>
public class OperatorBenchmarks
{
    private const long Rows = 64, Length = 64, Width = 256, Inner = 768, Vocabulary = 64;
    private TorchSharp.DisposeScope _scope = null!;
    private Tensor x_ND = null!, weight = null!, norm = null!, gate = null!, up = null!, logits = null!, embedding = null!, query = null!, key = null!, mask = null!, square = null!;
    private Tensor targets = null!;

    [GlobalSetup]
    public void Setup()
    {
        set_num_threads(int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), out int n) ? n : Environment.ProcessorCount);
        random.manual_seed(1);
        _scope = NewDisposeScope();
        x_ND = randn([Rows * Length, Width], requires_grad: true);
        weight = randn([Inner, Width], requires_grad: true);
        norm = ones([Width], requires_grad: true);
        gate = randn([Rows * Length, Inner], requires_grad: true);
        up = randn([Rows * Length, Inner], requires_grad: true);
        logits = randn([Rows * Length, Vocabulary], requires_grad: true);
        embedding = randn([Vocabulary, Width], requires_grad: true);
        targets = randint(0, Vocabulary, [Rows * Length]);
        query = randn([Rows, 2, 2 * Length, 64], requires_grad: true);
        key = randn([Rows, 2, Length, 64], requires_grad: true);
        mask = full([1, 1, Length, Length], float.NegativeInfinity).triu_(1).repeat(1, 1, 2, 1);
        square = randn(2048, 2048);
    }

    [GlobalCleanup]
    public void Cleanup() => _scope.Dispose();

    [Benchmark(Baseline = true)]
    public void Matmul2048() => square.matmul(square).Dispose();

    [Benchmark]
    public void Linear() => Step(() => nn.functional.linear(x_ND, weight));

    [Benchmark]
    public void RmsNorm() => Step(() => x_ND * x_ND.square().mean([-1], true).add_(1e-5).rsqrt_() * norm);

    [Benchmark]
    public void GatedSilu() => Step(() => nn.functional.silu(gate) * up);

    [Benchmark]
    public void Attention() => Step(() => nn.functional.scaled_dot_product_attention(query, key, key, mask));

    [Benchmark]
    public void LogSoftmaxOfTargets() => Step(() => logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)));

    [Benchmark]
    public void Embedding() => Step(() => embedding.index_select(0, targets));

    [Benchmark]
    public void CallOfASmallOperator()
    {
        using (no_grad()) norm.mul(norm).Dispose();
    }

    private static void Step(Func<Tensor> forward)
    {
        using var scope = NewDisposeScope();
        forward().sum().backward();
    }
}
