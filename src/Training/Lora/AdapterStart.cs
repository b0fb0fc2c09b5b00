using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Training.Lora;

/// <summary>The model that a stage begins with, with the adapter that it is to train, if any.</summary>
internal static class AdapterStart
{
    /// <exception cref="InvalidInputException">The model cannot be loaded, or an adapter was asked for on an adapter.</exception>
    public static CausalLm Load(StageReference reference, StoredModel stored, AdapterOptions? options, StageContext context)
    {
        options?.Require(stored, reference.Resolved);
        var model = stored.Load(context.Request.Device);
        if (options is null) return model;
        try
        {
            model.Attach(Adapter.Create(options, model, reference.Resolved, context.Seed));
            var trained = model.Parameters.Sum(parameter => parameter.Value.numel());
            context.Journal.Event("info", $"Trains an adapter on {model.Adapter!.Maps.Count} linear maps: {trained} parameters beside {model.Weights.Sum(weight => weight.Value.numel())} that stay as they are.");
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
