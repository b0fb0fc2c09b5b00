using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <summary>
/// What the policy is held to: the start of the run, or the policy of the last <see cref="Sync"/>. A policy trained whole needs a second copy of the model. One that trains a new adapter is its own
/// reference with the adapter off, which costs no memory; one that trains an adapter further, or has been a reference before, computes with a frozen copy of that adapter, on the same base.
/// </summary>
internal sealed class ReferencePolicy : IDisposable
{
    private const string WeightsFile = "reference.safetensors";

    private readonly CausalLm policy;
    private readonly CausalLm? copy;
    private Adapter? adapter;
    private bool replaced;

    private ReferencePolicy(CausalLm policy, CausalLm? copy, Adapter? adapter) => (this.policy, this.copy, this.adapter) = (policy, copy, adapter);

    /// <summary>What a checkpoint needs to have: nothing while the reference is the start, which is a model of the catalog.</summary>
    public IReadOnlyList<(string Name, Action<Stream> Write)> Files => replaced ? [(WeightsFile, stream => Safetensors.Write(stream, Weights))] : [];

    private IReadOnlyList<KeyValuePair<string, Tensor>> Weights => copy?.Weights ?? adapter!.Parameters;

    /// <param name="start">Where the run starts: not what a later attempt goes on from.</param>
    /// <param name="resumedFrom">The checkpoint that a later attempt goes on from, which holds the reference if the start is it no more.</param>
    public static ReferencePolicy Of(CausalLm policy, StoredModel start, StageContext context, string? resumedFrom)
    {
        var reference = Start(policy, start, context);
        if (resumedFrom is null || Path.Combine(resumedFrom, WeightsFile) is not { } path || !File.Exists(path)) return reference;
        // For the shapes; the file has the values.
        reference.Sync();
        using var file = Safetensors.Open(path);
        using var noGradient = no_grad();
        foreach (var (name, tensor) in reference.Weights)
        {
            using var scope = NewDisposeScope();
            tensor.copy_(file.Read(name));
        }
        return reference;
    }

    /// <summary>From now on the reference is the policy as it is.</summary>
    public void Sync()
    {
        replaced = true;
        if (copy is null)
        {
            adapter?.Dispose();
            adapter = policy.Adapter!.Clone();
            return;
        }
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (to, from) in copy.Weights.Zip(policy.Weights)) to.Value.copy_(from.Value);
    }

    /// <summary>Log-probabilities of a batch's targets, without gradient, [N].</summary>
    public Tensor LogProbs(TokenBatch tokens, double temperature)
    {
        using var noGradient = no_grad();
        using var reference = copy is null ? policy.With(adapter) : null;
        var model = copy ?? policy;
        return model.Pass(tokens).LogProbs(temperature).LogProbs_N;
    }

    public void Dispose()
    {
        adapter?.Dispose();
        copy?.Dispose();
    }

    private static ReferencePolicy Start(CausalLm policy, StoredModel start, StageContext context)
    {
        if (policy.Adapter is null) return new(policy, start.Load(context.Request.Device), null);
        if (!start.IsAdapter) return new(policy, null, null);
        using var trained = Adapter.Load(start.Folder, policy);
        return new(policy, null, trained.Clone());
    }
}
