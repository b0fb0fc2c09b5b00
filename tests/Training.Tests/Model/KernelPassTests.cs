using Gradus.Training.Model;
using Gradus.Training.Model.Cpu;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>Our kernels beside autograd, which they replace: whole passes, so that every kernel is held in all that it is used for.</summary>
public sealed class KernelPassTests
{
    public static TheoryData<string, string> Cases => [.. from name in new[] { "qwen2, narrow heads", "qwen2, yarn", "llama", "llama, untied, odd widths", "mistral, linear" } from cut in new[] { "lines", "packed", "shared" } select (name, cut)];

    [Theory, MemberData(nameof(Cases))]
    public void Log_probabilities_entropies_and_gradients_are_those_of_autograd(string name, string cut)
    {
        Assert.SkipUnless(TrainingKernels.Supported, "No kernels here.");
        using var scope = NewDisposeScope();
        using var model = Families.Create(name, 5);
        using var batch = Batch(cut);
        Assert.IsType<KernelPass>(model.Pass(batch));
        var expected = Run(model, model.Autograd(batch, false));
        foreach (var recompute in new[] { false, true })
        {
            var actual = Run(model, model.Pass(batch, recompute));
            foreach (var (key, value) in expected) Assert.True(Distance(value, actual[key]) < 2e-6, $"{key} is {Distance(value, actual[key])} away");
        }
    }

    [Fact]
    public void Recomputed_layers_keep_their_input_alone()
    {
        Assert.SkipUnless(TrainingKernels.Supported, "No kernels here.");
        using var scope = NewDisposeScope();
        using var model = Families.Create("llama", 5);
        using var batch = Batch("lines");
        long Held(bool recompute)
        {
            var before = Tensor.TotalCount;
            model.Pass(batch, recompute);
            return Tensor.TotalCount - before;
        }
        Held(true); // what a first pass makes for all
        Assert.Equal(9 * model.Config.Layers, Held(false) - Held(true));
    }

    [Fact]
    public void The_padded_state_and_its_way_back_are_those_of_autograd()
    {
        Assert.SkipUnless(TrainingKernels.Supported, "No kernels here.");
        using var scope = NewDisposeScope();
        using var model = Families.Create("llama", 5);
        using var batch = Batch("lines");
        Dictionary<string, Tensor> Gradients(TrainingPass pass)
        {
            Gradus.Training.Optimizer.Gradients.Clear(model.Parameters);
            pass.Backward(-LogProbs.Of(model, pass.Hidden_BTD, batch, 0.8).logProbs_N.mean());
            return model.Parameters.ToDictionary(weight => weight.Key, weight => weight.Value.grad!.clone());
        }
        var expected = Gradients(model.Autograd(batch, false));
        foreach (var (key, value) in Gradients(model.Pass(batch))) Assert.True(Distance(expected[key], value) < 2e-6, $"{key} is {Distance(expected[key], value)} away");
    }

    [Fact]
    public void Models_that_have_more_than_the_kernels_compute_go_by_autograd()
    {
        using var scope = NewDisposeScope();
        foreach (var name in new[] { "qwen3", "llama 3.1, biases", "deepseek_v3" })
        {
            using var model = Families.Create(name, 5);
            using var batch = Batch("lines");
            Assert.IsType<AutogradPass>(model.Pass(batch));
        }
    }

    /// <summary>The second of two micro-batches adds to the gradients of the first; the loss is off the policy, so that no gradient is a simple one.</summary>
    private static Dictionary<string, Tensor> Run(CausalLm model, TrainingPass pass)
    {
        Gradus.Training.Optimizer.Gradients.Clear(model.Parameters);
        using var other = TokenBatch.Create(Tiny.Rows(2, 5, 9, seed: 7));
        var earlier = model.Autograd(other, false);
        earlier.Backward(earlier.LogProbs().LogProbs_N.mean() * 0.1);
        var (logProbs_N, entropy_N) = pass.LogProbs(0.7);
        var weights_N = tensor(Enumerable.Range(0, (int)logProbs_N.shape[0]).Select(n => (float)Math.Sin(n)).ToArray());
        pass.Backward((logProbs_N.exp() * weights_N).sum());
        var results = model.Parameters.ToDictionary(weight => weight.Key, weight => weight.Value.grad!.clone());
        results["log-probabilities"] = logProbs_N.detach();
        results["entropies"] = entropy_N;
        return results;
    }

    [Fact]
    public void Padding_is_not_computed()
    {
        TokenRow[] rows = [new([1, 2, 3], 1), new([.. Enumerable.Range(0, 40)], 1), new([5], 1)];
        using TokenBatch lines = TokenBatch.Create(rows), packed = TokenBatch.Pack(rows, 64);
        Assert.Equal(44, lines.Sequence.Ids.Length);
        Assert.Equal([0, 3, 0, 3, 43, 0, 43, 44, 0], lines.Sequence.Segments);
        Assert.Equal([0, 1, 2, 3], lines.Sequence.Families);
        Assert.Equal(44, packed.Sequence.Ids.Length);
        // A prompt of three tokens with two completions: all see the prompt, and none the other.
        using var shared = TokenBatch.Share([[new([1, 2, 3, 4, 5], 3), new([1, 2, 3, 6], 3)]]);
        Assert.Equal([0, 3, 0, 3, 5, 3, 5, 6, 3], shared.Sequence.Segments);
        Assert.Equal([0, 3], shared.Sequence.Families);
        Assert.Equal([2, 3, 2], shared.Sequence.Sources);
        Assert.Equal([0, 1, 2, 3, 4, 3], shared.Sequence.Positions);
    }

    private static TokenBatch Batch(string cut)
    {
        var rows = Tiny.Rows(7, 3, 60);
        if (cut == "lines") return TokenBatch.Create(rows);
        if (cut == "packed") return TokenBatch.Pack(rows, 100);
        // Three families: a long prompt with completions of many lengths, one of nothing but its prompt's last token, and a row alone.
        TokenRow Completion(int prompt, int length, int seed) => new([.. Enumerable.Range(0, prompt).Select(i => (i * 7) % 50), .. Enumerable.Range(0, length).Select(i => ((i * seed) + 3) % 50)], prompt);
        return TokenBatch.Share([[Completion(39, 29, 5), Completion(39, 1, 11), Completion(39, 70, 13)], [Completion(1, 20, 3), Completion(1, 20, 17)], [Completion(5, 8, 9)]]);
    }

    private static double Distance(Tensor expected, Tensor actual) => (expected - actual).norm().item<float>() / Math.Max(1e-6, expected.norm().item<float>());
}
