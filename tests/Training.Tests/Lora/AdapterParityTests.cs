using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Tests.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Lora;

/// <summary>What peft computes with the same adapter on the same base. A case of <c>lora/</c> names its base in <c>models/</c> beside it.</summary>
public sealed class AdapterParityTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();
    private Safetensors? opened;

    public static TheoryData<string> Folders()
    {
        var roots = (Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Prepend(Path.Combine(AppContext.BaseDirectory, "fixtures"));
        return [.. roots.Select(root => Path.Combine(root, "lora")).Where(Directory.Exists).SelectMany(Directory.GetDirectories).Order(StringComparer.Ordinal)];
    }

    [Theory, MemberData(nameof(Folders))]
    public void Logits_loss_and_every_gradient_agree(string folder)
    {
        var (stored, expected) = Open(folder);
        using var reference = new ModelCase(stored.Base!);
        using var model = stored.Load("cpu");
        using (no_grad())
        {
            using var all = TokenBatch.Create(reference.AllTargets);
            var logits = reference.Real(model.Logits(model.Hidden(all)));
            Close.Elements(reference.RealOf(expected.Read("logits")), logits, "logits");
        }
        using var batch = TokenBatch.Create(reference.Labelled);
        var loss = -LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.mean();
        Assert.Equal(expected.Read("loss").item<float>(), loss.item<float>(), 1e-4);
        loss.backward();
        Assert.Equal(expected.Names.Count(name => name.StartsWith("grad.", StringComparison.Ordinal)), model.Parameters.Count);
        foreach (var (name, weights) in model.Parameters) Close.Norms(expected.Read("grad." + name), weights.grad!, name);
        Assert.All(model.Weights, weight => Assert.False(weight.Value.requires_grad));
    }

    [Theory, MemberData(nameof(Folders))]
    public void Merged_weights_agree_and_compute_the_same(string folder)
    {
        var (stored, expected) = Open(folder);
        using var reference = new ModelCase(stored.Base!);
        using var model = stored.Load("cpu");
        model.MergeAdapter();
        Assert.Null(model.Adapter);
        foreach (var name in expected.Names.Where(name => name.StartsWith("merged.", StringComparison.Ordinal))) Close.Elements(expected.Read(name), model[name["merged.".Length..]], name, 1e-6);
        using var noGradient = no_grad();
        using var all = TokenBatch.Create(reference.AllTargets);
        Close.Elements(reference.RealOf(expected.Read("logits")), reference.Real(model.Logits(model.Hidden(all))), "logits");
    }

    [Theory, MemberData(nameof(Folders))]
    public void Off_it_is_the_base_and_on_again_it_is_the_adapter(string folder)
    {
        var (stored, expected) = Open(folder);
        using var reference = new ModelCase(stored.Base!);
        using var model = stored.Load("cpu");
        using var noGradient = no_grad();
        using var all = TokenBatch.Create(reference.AllTargets);
        using (model.With(null)) Close.Elements(reference.Real("logits"), reference.Real(model.Logits(model.Hidden(all))), "base");
        Close.Elements(reference.RealOf(expected.Read("logits")), reference.Real(model.Logits(model.Hidden(all))), "adapter");
        using var frozen = model.Adapter!.Clone();
        foreach (var (_, tensor) in model.Parameters) tensor.mul_(3);
        using (model.With(frozen)) Close.Elements(reference.RealOf(expected.Read("logits")), reference.Real(model.Logits(model.Hidden(all))), "frozen copy");
    }

    [Theory, MemberData(nameof(Folders))]
    public void Written_and_read_again_it_is_the_same_to_the_bit(string folder)
    {
        var (stored, _) = Open(folder);
        using var temporary = new TemporaryFolder();
        using var model = stored.Load("cpu");
        model.Save(temporary.Path);
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors"], Directory.GetFiles(temporary.Path).Select(Path.GetFileName).Order());
        using Safetensors before = Safetensors.Open(Path.Combine(folder, Adapter.WeightsFile)), after = Safetensors.Open(Path.Combine(temporary.Path, Adapter.WeightsFile));
        Assert.Equal(before.Names, after.Names);
        foreach (var name in before.Names) Assert.True(before.Read(name).bytes.SequenceEqual(after.Read(name).bytes), name);
        var written = ModelFolder.ReadJson(Path.Combine(temporary.Path, AdapterConfig.File));
        foreach (var field in ModelFolder.ReadJson(Path.Combine(folder, AdapterConfig.File)).EnumerateObject())
        {
            if (!written.TryGetProperty(field.Name, out var value) || field.Name == "target_modules") continue;
            Assert.True(System.Text.Json.Nodes.JsonNode.DeepEquals(System.Text.Json.Nodes.JsonNode.Parse(field.Value.GetRawText()), System.Text.Json.Nodes.JsonNode.Parse(value.GetRawText())), $"{field.Name}: {field.Value} became {value}");
        }
    }

    public void Dispose()
    {
        opened?.Dispose();
        scope.Dispose();
    }

    private (StoredModel Stored, Safetensors Expected) Open(string folder)
    {
        var models = Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(folder))!, "models");
        opened = Safetensors.Open(Path.Combine(folder, "expected.safetensors"));
        return (StoredModel.At(folder, id => Path.Combine(models, id)), opened);
    }
}
