using BenchmarkDotNet.Attributes;
using Gradus.Training.Grpo;
using static TorchSharp.torch;

namespace Gradus.Kernels;

/// <summary>GRPO's loss, forward and backward, on 4,096 tokens of 128 rollouts.</summary>
public class LossBenchmarks
{
    private const int Tokens = 4096, Rollouts = 128;
    private TorchSharp.DisposeScope _scope = null!;
    private GrpoLossInput _input = null!;
    private readonly GrpoLossOptions _onPolicy = new(), _withReference = new() { Beta = 0.04 };

    [GlobalSetup]
    public void Setup()
    {
        random.manual_seed(1);
        _scope = NewDisposeScope();
        Tensor row = arange(Rollouts).repeat_interleave(Tokens / Rollouts);
        Tensor logProbs = rand([Tokens]).neg().requires_grad_();
        _input = new GrpoLossInput(logProbs, logProbs.detach() + 0.01, logProbs.detach() - 0.02, randn(Rollouts).index_select(0, row), full([Tokens], 1.0 / Tokens), ones(Tokens), row, Rollouts);
    }

    [GlobalCleanup]
    public void Cleanup() => _scope.Dispose();

    [Benchmark]
    public void OnPolicy() => Step(_input with { OldLogProbs_N = null }, _onPolicy);

    [Benchmark]
    public void OffPolicy() => Step(_input, _onPolicy);

    [Benchmark]
    public void WithReference() => Step(_input, _withReference);

    private static void Step(GrpoLossInput input, GrpoLossOptions options)
    {
        using var scope = NewDisposeScope();
        GrpoLoss.Of(input, options).Loss.backward();
    }
}
