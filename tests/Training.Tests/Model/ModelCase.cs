using System.Text.Json;
using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>
/// One folder of models/: a tiny checkpoint and what transformers computes with it. Its batch is padded on the left; ours is not padded there, so position t of
/// row b here is position <c>starts[b] + t</c> there.
/// </summary>
public sealed class ModelCase : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Safetensors expected;
    private readonly int[] starts;
    private readonly int[] firstLabels;

    public ModelCase(string folder)
    {
        Folder = folder;
        expected = Safetensors.Open(Path.Combine(folder, "expected.safetensors"));
        Figures = ModelFolder.ReadJson(Path.Combine(folder, "expected.json"));
        var (ids, mask, labels) = (Rows("input_ids"), Rows("attention_mask"), Rows("labels"));
        starts = [.. mask.Select(row => Array.IndexOf(row, 1))];
        Tokens = [.. ids.Select((row, b) => row[starts[b]..])];
        firstLabels = [.. labels.Select((row, b) => Array.FindIndex(row, label => label >= 0) - starts[b])];
    }

    public string Folder { get; }

    public JsonElement Figures { get; }

    /// <summary>The rows without padding.</summary>
    public int[][] Tokens { get; }

    /// <summary>Every token but a row's first is a target.</summary>
    public IReadOnlyList<TokenRow> AllTargets => [.. Tokens.Select(row => new TokenRow(row, 1))];

    /// <summary>The labelled tokens are targets.</summary>
    public IReadOnlyList<TokenRow> Labelled => [.. Tokens.Select((row, b) => new TokenRow(row, firstLabels[b]))];

    public Tensor Expected(string name) => expected.Read(name);

    /// <summary>The real positions of an expected [B, T, ...], row after row.</summary>
    public Tensor Real(string name, int without = 0) => RealOf(Expected(name), without);

    /// <summary>The real positions of a [B, T, ...] that is padded as theirs are.</summary>
    public Tensor RealOf(Tensor tensor, int without = 0) => cat(Tokens.Select((row, b) => tensor.select(0, b).narrow(0, starts[b], row.Length - without)).ToArray());

    /// <summary>The same positions of our [B, T, ...], padded on the right.</summary>
    public Tensor Real(Tensor ours, int without = 0) => cat(Tokens.Select((row, b) => ours.select(0, b).narrow(0, 0, row.Length - without)).ToArray());

    public long[] Longs(string name) => Expected(name).data<long>().ToArray();

    /// <summary>All cases below the test's own fixtures and below each root of GRADUS_FIXTURES.</summary>
    public static TheoryData<string> Folders()
    {
        var roots = (Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Prepend(Path.Combine(AppContext.BaseDirectory, "fixtures"));
        return [.. roots.Select(root => Path.Combine(root, "models")).Where(Directory.Exists).SelectMany(Directory.GetDirectories)
            .Where(folder => File.Exists(Path.Combine(folder, "expected.json"))).Order(StringComparer.Ordinal)];
    }

    /// <summary>A parameter of ours under the names of the file: the experts of a layer are one tensor here and one each there.</summary>
    public static IEnumerable<(string Name, Tensor Tensor)> Parts(string name, Tensor tensor) => tensor.dim() < 3
        ? [(name, tensor)]
        : tensor.unbind().Select((part, expert) => (name.Replace(".experts.", $".experts.{expert}.", StringComparison.Ordinal), part));

    public void Dispose()
    {
        expected.Dispose();
        scope.Dispose();
    }

    private int[][] Rows(string name)
    {
        var width = (int)Expected(name).shape[1];
        return [.. Longs(name).Select(id => (int)id).Chunk(width)];
    }
}
