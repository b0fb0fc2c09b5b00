using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <summary>
/// The frozen start of a run that the policy is held to. A policy trained whole needs a second copy of the model. One that trains a new adapter is its own
/// reference with the adapter off, which costs no memory; one that trains an adapter further computes with a frozen copy of that adapter, on the same base.
/// </summary>
internal sealed class ReferencePolicy : IDisposable
{
    private readonly CausalLm model;
    private readonly bool ownsModel;
    private readonly Adapter? adapter;

    private ReferencePolicy(CausalLm model, bool ownsModel, Adapter? adapter) => (this.model, this.ownsModel, this.adapter) = (model, ownsModel, adapter);

    /// <param name="start">Where the run starts: not what a later attempt goes on from.</param>
    public static ReferencePolicy Of(CausalLm policy, StoredModel start, StageContext context)
    {
        if (policy.Adapter is null) return new(start.Load(context.Request.Device), true, null);
        if (!start.IsAdapter) return new(policy, false, null);
        using var trained = Adapter.Load(start.Folder, policy);
        return new(policy, false, trained.Clone());
    }

    /// <summary>Log-probabilities of a batch's targets, without gradient, [N].</summary>
    public Tensor LogProbs(TokenBatch tokens, double temperature)
    {
        using var noGradient = no_grad();
        using var reference = ownsModel ? null : model.With(adapter);
        return Model.LogProbs.Of(model, model.Hidden(tokens), tokens, temperature).logProbs_N;
    }

    public void Dispose()
    {
        adapter?.Dispose();
        if (ownsModel) model.Dispose();
    }
}
