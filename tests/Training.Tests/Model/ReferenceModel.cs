using Gradus.Training.Model;
using TorchSharp;

namespace Gradus.Training.Tests.Model;

/// <summary>A decoder in double precision, one number at a time and without libtorch, to hold parts against for which there is no fixture.</summary>
internal sealed class ReferenceModel(CausalLm model)
{
    private readonly ModelConfig config = model.Config;

    /// <summary>Log-probabilities of what follows the last token.</summary>
    public double[] LogProbs(int[] tokens)
    {
        var states = tokens.Select(token => Row(Weight("model.embed_tokens.weight"), token, config.HiddenSize)).ToArray();
        for (var layer = 0; layer < config.Layers; layer++)
        {
            var name = $"model.layers.{layer}.";
            var attended = Attend(name + "self_attn.", [.. states.Select(state => Norm(state, name + "input_layernorm.weight"))]);
            states = [.. states.Zip(attended, Sum)];
            states = [.. states.Select(state => Sum(state, FeedForward(name + "mlp.", Norm(state, name + "post_attention_layernorm.weight"))))];
        }
        var logits = Map(Norm(states[^1], "model.norm.weight"), config.TieEmbeddings ? "model.embed_tokens" : "lm_head", config.VocabularySize);
        var all = Math.Log(logits.Sum(Math.Exp));
        return [.. logits.Select(logit => logit - all)];
    }

    private double[][] Attend(string name, double[][] states)
    {
        int width = config.HeadDim, group = config.Heads / config.KeyValueHeads;
        double[][][] Heads(string part, int heads, string norm, bool turn) => [.. states.Select((state, position) =>
            Map(state, name + part, heads * width).Chunk(width).Select(head => config.QueryKeyNorm && turn ? Norm(head, name + norm) : head).Select(head => turn ? Turn(head, position) : head).ToArray())];
        var queries = Heads("q_proj", config.Heads, "q_norm.weight", turn: true);
        var keys = Heads("k_proj", config.KeyValueHeads, "k_norm.weight", turn: true);
        var values = Heads("v_proj", config.KeyValueHeads, "", turn: false);
        return [.. states.Select((_, at) => Map([.. Enumerable.Range(0, config.Heads).SelectMany(head =>
        {
            var weights = Enumerable.Range(0, at + 1).Select(seen => Math.Exp(Dot(queries[at][head], keys[seen][head / group]) / Math.Sqrt(width))).ToArray();
            return Enumerable.Range(0, width).Select(j => weights.Select((weight, seen) => weight * values[seen][head / group][j]).Sum() / weights.Sum());
        })], name + "o_proj", config.HiddenSize))];
    }

    private double[] FeedForward(string name, double[] state)
    {
        var gate = Map(state, name + "gate_proj", config.FeedForwardSize);
        var up = Map(state, name + "up_proj", config.FeedForwardSize);
        return Map([.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)], name + "down_proj", config.HiddenSize);
    }

    /// <summary>Feature j with feature j + half. The frequencies are held by <see cref="RotaryFrequenciesTests"/>.</summary>
    private double[] Turn(double[] head, int position)
    {
        var (inverse, amplitude) = RotaryFrequencies.Of(config);
        var half = head.Length / 2;
        return [.. head.Select((value, j) =>
        {
            var angle = position * (double)inverse[j % half];
            return amplitude * ((value * Math.Cos(angle)) + ((j < half ? -head[j + half] : head[j - half]) * Math.Sin(angle)));
        })];
    }

    private double[] Norm(double[] x, string name)
    {
        var scale = 1 / Math.Sqrt((x.Sum(value => value * value) / x.Length) + config.NormEpsilon);
        return [.. x.Zip(Weight(name), (value, weight) => value * scale * weight)];
    }

    private double[] Map(double[] x, string name, int outputs)
    {
        var weight = Weight(name + ".weight");
        var bias = model.Find(name + ".bias") is null ? null : Weight(name + ".bias");
        return [.. Enumerable.Range(0, outputs).Select(output => Dot(Row(weight, output, x.Length), x) + (bias?[output] ?? 0))];
    }

    private float[] Weight(string name) => model[name].detach().data<float>().ToArray();

    private static double[] Row(float[] weight, int row, int width) => [.. weight.AsSpan(row * width, width).ToArray().Select(value => (double)value)];

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];
}
