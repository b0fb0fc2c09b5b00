using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class CausalLmTests
{
    [Fact]
    public void NewWeightsComeFromTheSeedAlone()
    {
        using var one = CausalLm.Create(Tiny.Config, 5);
        random.manual_seed(99);
        using var same = CausalLm.Create(Tiny.Config, 5);
        using var other = CausalLm.Create(Tiny.Config, 6);
        Assert.Equal(Bytes(one), Bytes(same));
        Assert.NotEqual(Bytes(one), Bytes(other));
        using var scope = NewDisposeScope();
        Assert.Equal(.02, one["model.embed_tokens.weight"].detach().std().item<float>(), .002);
        Assert.Equal(.7 / Math.Sqrt(Tiny.Config.FeedForwardSize), one["model.layers.0.mlp.down_proj.weight"].detach().std().item<float>(), .01);
        Assert.Equal(0, one["model.layers.1.self_attn.q_proj.bias"].detach().abs().max().item<float>());
        Assert.Equal(1, one["model.norm.weight"].detach().min().item<float>());
    }

    [Fact]
    public void TwoRunsOfFiveStepsMakeTheSameBytes()
    {
        byte[] Run()
        {
            using var model = CausalLm.Create(Tiny.Config, 5);
            using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
            for (var step = 1; step <= 5; step++) Step(model, optimizer, step);
            return Bytes(model);
        }
        Assert.Equal(Run(), Run());
    }

    [Fact]
    public void StepsLeaveNoTensorsBehind()
    {
        using var model = CausalLm.Create(Tiny.Config, 5);
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        Step(model, optimizer, 1);
        var before = Tensor.TotalCount;
        for (var step = 2; step <= 6; step++) Step(model, optimizer, step);
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void ACloneIsFrozenAndApart()
    {
        using var model = CausalLm.Create(Tiny.Config, 5);
        using var clone = model.Clone();
        Assert.Equal(Bytes(model), Bytes(clone));
        Assert.All(clone.Parameters, parameter => Assert.False(parameter.Value.requires_grad));
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        var before = Bytes(clone);
        Step(model, optimizer, 1);
        Assert.Equal(before, Bytes(clone));
        Assert.NotEqual(before, Bytes(model));
    }

    [Fact]
    public void ASequenceLongerThanThePositionsIsRefused()
    {
        using var model = CausalLm.Create(Tiny.Config with { MaxPositions = 8 }, 5);
        using var batch = TokenBatch.Create(Tiny.Rows(1, 9, 10));
        Assert.Contains("longer than the model's 8 positions", Assert.Throws<InvalidInputException>(() => model.Hidden(batch)).Message);
    }

    /// <summary>One update on rows of the step's own.</summary>
    internal static void Step(CausalLm model, AdamW optimizer, int step)
    {
        using var scope = NewDisposeScope();
        var rows = Tiny.Rows(4, 5, 20, step);
        using var batch = step % 2 == 0 ? TokenBatch.Pack(rows, 64) : TokenBatch.Create(rows);
        Gradients.Clear(model.Parameters);
        (-LogProbs.Of(model, model.Hidden(batch), batch, 1).logProbs_N.mean()).backward();
        Gradients.ClipNorm(model.Parameters, 1);
        optimizer.Step(1e-2);
    }

    internal static byte[] Bytes(CausalLm model)
    {
        using var stream = new MemoryStream();
        Safetensors.Write(stream, model.Parameters);
        return stream.ToArray();
    }
}
